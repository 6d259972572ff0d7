package tui

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	adminv1 "edgesync/proto/admin/v1"
	"edgesync/tui/live"
)

func width(text string) int { return lipgloss.Width(text) }

func TestR08_NewSourceIsDisabledWithTheReasonWhileNoSyncServiceExists(t *testing.T) {
	s := newScreen(t, &platform{}, 80, 24)
	s.live(emptyPlatform())
	s.press("2")
	s.wants("New Source  disabled: no sync service exists to run it: add one first")
	s.press("n")
	if len(s.model.dialogs) != 0 {
		t.Fatal("the form opened")
	}
	s.live(fullPlatform())
	if strings.Contains(plain(s.text()), "disabled:") {
		t.Error("still disabled though services exist")
	}
	s.press("n")
	s.wants("New Source", "HQ Sync  ◐ degraded, edge")
}

func TestR09_AddEdgeSyncServiceStandsRightUnderNewSource(t *testing.T) {
	for _, snapshot := range []live.Snapshot{emptyPlatform(), fullPlatform()} {
		s := newScreen(t, &platform{}, 80, 24)
		s.live(snapshot)
		s.press("2")
		lines := strings.Split(plain(s.text()), "\n")
		i := slices.IndexFunc(lines, func(line string) bool { return strings.Contains(line, "New Source") })
		if i < 0 || !strings.Contains(lines[i+1], "Add Edge Sync Service") {
			t.Fatalf("not right under it:\n%s", strings.Join(lines, "\n"))
		}
		s.press("a")
		s.wants("Tenant", "Gateway", "Review")
		s.press("esc")
		s.send(tea.MouseClickMsg{X: 5, Y: bodyLine + 1, Button: tea.MouseLeft})
		s.wants("Review")
	}
}

func TestWizardCreatesNothingBeforeTheReviewIsConfirmed(t *testing.T) {
	p := &platform{}
	s := newScreen(t, p, 80, 24)
	s.live(emptyPlatform())
	s.press("2", "a", "enter", "Site B", "tab", "ctrl+u", "paris", "enter", "enter", "enter", "enter")
	s.wants("Nothing is created yet", "Site B", "site-b", "paris", "edgesync onboard --tenant acme --name 'Site B' --partition paris")
	s.press("esc", "esc", "esc")
	s.wants("Site B")
	s.press("esc", "esc", "esc")
	if len(p.onboard) != 0 || len(s.model.dialogs) != 0 {
		t.Fatalf("asked to onboard %d times, %d dialogs", len(p.onboard), len(s.model.dialogs))
	}
}

func TestWizardGoesBackWithoutLosingWhatWasTyped(t *testing.T) {
	p := &platform{}
	s := newScreen(t, p, 80, 24)
	s.live(emptyPlatform())
	s.press("2", "a", "enter", "Site B", "enter", "enter")
	s.press("ctrl+u", "10.9.9.9:50052", "enter")
	s.press("esc", "esc")
	s.wants("Site B")
	s.press("enter", "enter")
	s.wants("10.9.9.9:50052")
}

func TestWizardShowsWhyItFailedAndCanBeConfirmedAgain(t *testing.T) {
	p := &platform{}
	s := newScreen(t, p, 80, 24)
	s.live(emptyPlatform())
	s.model.dialogs = nil
	s.press("2", "a", "enter", "Site B", "enter", "enter", "enter", "enter", "enter", "enter")
	s.wants("the fixture signs nothing", "Review")
	s.press("enter")
	if len(p.onboard) != 2 {
		t.Errorf("asked %d times", len(p.onboard))
	}
}

func TestWizardGoesToTheAnswerThatWillNotDo(t *testing.T) {
	s := newScreen(t, &platform{}, 80, 24)
	s.live(emptyPlatform())
	s.press("2", "a", "enter", "enter", "enter")
	s.wants("✗ name: say what the sync service is called", "› Name")
	s.press("Site B")
	if strings.Contains(plain(s.text()), "✗") {
		t.Errorf("the error outlived what it was about:\n%s", plain(s.text()))
	}
	s.press("enter", "enter")
	s.wants("› Gateway")
}

func TestWizardTellsWhatBecomesOfAServiceThatIsThere(t *testing.T) {
	for name, said := range map[string]string{
		"Site B": "refused from then on", "site-b": "refused from then on", "SITE-b": "that of sync service Site B: choose another name",
	} {
		s := newScreen(t, &platform{}, 80, 24)
		snapshot := emptyPlatform()
		snapshot.Tenants[0].Services = []*adminv1.SyncService{service("svc", "acme", "Site B", "online", time.Second)}
		s.live(snapshot)
		s.press("2", "a", "enter", name, "enter", "enter", "enter", "enter", "enter")
		s.wants("Review", said)
	}
}

// A service that is onboarded again goes on being online with what it had.
func TestWizardWaitsForTheIdentityThatItMade(t *testing.T) {
	s := newScreen(t, &platform{}, 80, 24)
	snapshot := emptyPlatform()
	before := service("svc-new", "acme", "Site B", "online", time.Second)
	snapshot.Tenants[0].Services = []*adminv1.SyncService{before}
	s.live(snapshot)
	s.press("2", "a", "enter", "Site B", "enter", "enter", "enter", "right", "tab", "ctrl+u", t.TempDir(), "tab", "enter", "enter")
	s.wants("Site B of tenant acme is onboarded", "waiting for its first Hello")
	after := service("svc-new", "acme", "Site B", "online", 0)
	after.CertSerial = "7392"
	snapshot.Tenants[0].Services = []*adminv1.SyncService{after}
	s.live(snapshot)
	s.wants("● online")
}

func TestADisabledSourceIsSaidToBeOff(t *testing.T) {
	s := newScreen(t, &platform{}, 80, 24)
	snapshot := emptyPlatform()
	off := source("src", "acme", "hq-armis", "armis", "svc-hq", "success", 5)
	off.Enabled = false
	snapshot.Tenants[0].Sources = []*adminv1.Source{off}
	s.live(snapshot)
	s.wants("◐ 1 disabled")
	s.press("2")
	s.wants("◐ disabled")
}

func TestNewSourceSendsWhatTheFormSays(t *testing.T) {
	p := &platform{}
	s := newScreen(t, p, 80, 24)
	s.live(fullPlatform())
	s.press("2", "n", "tab", "dc2", "tab", "right", "tab", "right", "tab", "https://nb.example", "tab")
	s.send(tea.PasteMsg{Content: "s3cret\x1b[31m\n"})
	if strings.Contains(s.text(), "s3cret") {
		t.Fatal("the credential is on the screen")
	}
	s.press("ctrl+s")
	if len(p.created) != 1 {
		t.Fatalf("created %d:\n%s", len(p.created), plain(s.text()))
	}
	got := p.created[0]
	if got.GetTenant() != "acme" || got.GetSpec().GetName() != "dc2" || got.GetSpec().GetSourceType() != "netbox" || got.GetService() != "svc-plant" ||
		!strings.HasPrefix(string(got.GetCredentials()["api_token"]), "s3cret") {
		t.Errorf("sent tenant %s, %+v, service %s", got.GetTenant(), got.GetSpec(), got.GetService())
	}
	s.wants("source dc2 is saved")
}

func TestSourcesAreEnabledDisabledAndRemovedOnlyWhenConfirmed(t *testing.T) {
	p := &platform{}
	s := newScreen(t, p, 80, 24)
	s.live(fullPlatform())
	s.press("2", "space")
	s.press("d", "n", "d", "esc", "d", "y")
	want := []string{"SetSourceEnabled src-nb false", "RemoveSource src-nb"}
	if !slices.Equal(p.asked, want) {
		t.Errorf("asked %v, want %v", p.asked, want)
	}
}

func TestSearchAsksOnceTheTypingRests(t *testing.T) {
	p := &platform{devices: manyDevices(500)}
	s := newScreen(t, p, 80, 24)
	s.live(fullPlatform())
	s.press("4", "/", "host-0000042", "enter")
	s.wants("host-0000042")
	if strings.Contains(plain(s.text()), "host-0000043") {
		t.Error("others are shown too")
	}
	s.press("esc")
	s.wants("host-0000000")
}

func TestScrollingDownReadsFurther(t *testing.T) {
	p := &platform{devices: manyDevices(1000)}
	s := newScreen(t, p, 80, 24)
	s.live(fullPlatform())
	s.press("4", "end", "end", "end")
	s.wants("host-0000999")
}

func TestALostConnectionIsSaidAndTheLastStateStays(t *testing.T) {
	s := newScreen(t, &platform{}, 80, 24)
	snapshot := fullPlatform()
	snapshot.Problem, snapshot.RetryAt = "the platform does not answer", clock.Add(3e9)
	s.live(snapshot)
	s.wants("not live: reconnecting", "trying again in 3s", "1,235,457")
}

func TestEventsCanBeHeldStillFilteredAndSearched(t *testing.T) {
	s := newScreen(t, &platform{}, 120, 40)
	s.live(fullPlatform())
	s.press("5", "s", "s")
	if text := plain(s.text()); !strings.Contains(text, "run 39") || strings.Contains(text, "run 38 ") {
		t.Errorf("errors only:\n%s", text)
	}
	s.press("esc", "/", "run 7 ", "enter")
	s.wants("run 7 ")
	if strings.Contains(plain(s.text()), "run 8 ") {
		t.Error("others are shown too")
	}
}

func TestMouseChoosesTabsAndRows(t *testing.T) {
	p := &platform{devices: manyDevices(30), detail: deviceDetail()}
	s := newScreen(t, p, 80, 24)
	s.live(fullPlatform())
	s.send(tea.MouseClickMsg{X: 20, Y: tabLine, Button: tea.MouseLeft})
	if s.model.active != 1 {
		t.Fatalf("page %d", s.model.active)
	}
	s.wants("hq-armis") // Where rows are is known once they are drawn.
	s.send(tea.MouseClickMsg{X: 5, Y: bodyLine + 4 + 2, Button: tea.MouseLeft})
	s.press("enter")
	s.wants("Source hq-armis", "https://hq-armis.example")
	s.press("esc", "4", "/", "host-000000", "enter")
	s.wants("host-0000003")
	s.send(tea.MouseClickMsg{X: 5, Y: bodyLine + 2 + 4, Button: tea.MouseLeft})
	s.press("enter")
	if !slices.Contains(p.asked, "ExplainDevice sr:00000003-0000-4000-8000-000000000000") {
		t.Errorf("asked %v", p.asked)
	}
	s.press("esc")
	s.send(tea.MouseWheelMsg{Button: tea.MouseWheelDown})
	s.wants("row 7")
}

func TestTextFromOutsideMovesNothing(t *testing.T) {
	s := newScreen(t, &platform{devices: manyDevices(3), detail: deviceDetail()}, 120, 40)
	s.live(fullPlatform())
	for i := range s.model.pages {
		s.press(fmt.Sprint(i+1), "enter")
		for _, bad := range []string{"\x1b[31m 工場", "\x1b]0;", "\x07", "\u202e", "\r", "\x1b[2J"} {
			if strings.Contains(s.text(), bad) {
				t.Errorf("page %d has %q on it", i+1, bad)
			}
		}
		s.press("esc")
	}
}

func TestWhatOperatorsMergedCanBeTakenBack(t *testing.T) {
	p := &platform{devices: manyDevices(3), detail: deviceDetail()}
	s := newScreen(t, p, 120, 40)
	s.live(fullPlatform())
	s.press("4", "enter")
	s.wants("Why it is one device", "= mac 00:50:56:00:00:00", "Why it is this: who says what", "What was decided")
	s.press("u", "y")
	if !slices.Contains(p.asked, "UnmergeDevice sr:00000000-0000-4000-8000-000000000000") {
		t.Errorf("asked %v", p.asked)
	}
}

func TestHeldRetractionsAreSettledOnlyWhenConfirmed(t *testing.T) {
	p := &platform{}
	s := newScreen(t, p, 80, 24)
	s.live(fullPlatform())
	s.press("2", "h")
	s.wants("900,000 of 1,200,000")
	s.press("r", "n")
	if slices.Contains(p.asked, "ReleaseRetractions src-ar") {
		t.Fatal("released without a word")
	}
	s.press("r", "y")
	if !slices.Contains(p.asked, "ReleaseRetractions src-ar") {
		t.Errorf("asked %v", p.asked)
	}
}

func TestASourceIsTestedBeforeItIsSaved(t *testing.T) {
	p := &platform{}
	s := newScreen(t, p, 80, 24)
	s.live(fullPlatform())
	s.press("2", "n", "ctrl+t")
	s.wants("the name is missing")
	s.press("tab", "dc2", "tab", "tab", "tab", "https://armis.example", "tab", "s3cret", "ctrl+t")
	s.wants("Test of source dc2, not saved yet", "it answers, in 1234 ms", "1,200,000 devices", "host-4", "10.0.0.4")
	if strings.Contains(s.text(), "s3cret") || len(p.tested) != 1 || len(p.created) != 0 {
		t.Fatalf("tested %v, created %v", p.tested, p.created)
	}
	got := p.tested[0]
	if got.GetSource() != "" || got.GetSpec().GetEndpoint() != "https://armis.example" || got.GetService() != "svc-hq" || string(got.GetCredentials()["secret_key"]) != "s3cret" {
		t.Errorf("tested %v", got)
	}
	s.press("esc")
	p.refuse = status.Error(codes.Unavailable, `sync service "HQ Sync" is offline: start it on its host`)
	s.press("ctrl+t")
	s.wants("is offline: start it on its host", "It can be saved all the same")
	p.refuse = nil
	s.press("esc", "ctrl+s")
	if len(p.created) != 1 {
		t.Errorf("created %v", p.created)
	}
}

func TestAChangeIsTestedBeforeItIsSaved(t *testing.T) {
	p := &platform{}
	s := newScreen(t, p, 80, 24)
	s.live(fullPlatform())
	s.press("2", "e", "tab", "tab", "ctrl+u", "https://new.example", "ctrl+t")
	if len(p.tested) != 1 || p.tested[0].GetSource() != "src-nb" || p.tested[0].GetSpec().GetEndpoint() != "https://new.example" || len(p.tested[0].GetCredentials()) != 0 {
		t.Errorf("tested %v", p.tested)
	}
}

func TestRunsOfAServiceAreReadAgainAsTheyGoOn(t *testing.T) {
	p := &platform{}
	s := newScreen(t, p, 120, 40)
	snapshot := fullPlatform()
	s.live(snapshot)
	s.press("3", "down", "enter")
	s.wants("3 runs to deliver, 5.0 MiB", "▸ running", "12,000 devices", "● success", "1m35s", "502 Bad Gateway", "7 refused")
	asked := func() (n int) {
		for _, call := range p.asked {
			if call == "ListRuns svc-hq" {
				n++
			}
		}
		return n
	}
	s.live(snapshot)
	if n := asked(); n != 1 {
		t.Fatalf("read %d times though nothing moved", n)
	}
	snapshot.Tenants[0].UpdatesReceived += 500
	s.model.env.Now = func() time.Time { return clock.Add(2 * time.Second) }
	s.live(snapshot)
	if n := asked(); n != 2 {
		t.Errorf("read %d times", n)
	}
}

func TestDevicesAreMergedOnlyWhenMarkedAndConfirmed(t *testing.T) {
	p := &platform{devices: manyDevices(9), detail: deviceDetail()}
	s := newScreen(t, p, 120, 40)
	s.live(fullPlatform())
	s.press("4", "m")
	s.wants("mark two devices or more first")
	s.press("space", "down", "space", "m")
	s.wants("Merge 2 devices into one", "host-0000000", "host-0000002")
	s.press("same rack", "enter")
	if !slices.Contains(p.asked, "MergeDevices 2 because same rack") {
		t.Errorf("asked %v", p.asked)
	}
	s.wants("2 devices are one now")
	if len(s.model.dialogs) != 0 || strings.Contains(plain(s.text()), "merge 2 marked") {
		t.Errorf("it is not done:\n%s", plain(s.text()))
	}
}

func TestADeviceIsSplitOnlyWithSomethingOnBothSides(t *testing.T) {
	p := &platform{devices: manyDevices(3), detail: deviceDetail()}
	s := newScreen(t, p, 120, 40)
	s.live(fullPlatform())
	s.press("4", "enter", "x", "enter")
	s.wants("Which of these are another thing?", "dcim-7")
	s.press("space", "down", "space", "enter") // All of them.
	s.press("space", "enter", "a twin", "esc", "enter", "enter")
	if !slices.Contains(p.asked, "SplitDevice [sr:00000000-0000-4000-8000-000000000000] because a twin") {
		t.Errorf("asked %v", p.asked)
	}
	s.wants("parted into 2 devices", "Why it is one device")
}

func TestDuplicatesLeadToTheirDevicesAndToAMerge(t *testing.T) {
	p := &platform{devices: manyDevices(9), detail: deviceDetail()}
	s := newScreen(t, p, 80, 24)
	s.live(fullPlatform())
	s.press("4", "D")
	s.wants("What several devices share", "hostname", "serial")
	s.press("enter")
	s.wants("3 devices with hostname", "host-0000002")
	s.press("space", "space", "m", "one card", "enter")
	if !slices.Contains(p.asked, "MergeDevices 2 because one card") {
		t.Errorf("asked %v", p.asked)
	}
}

func TestATenantIsRemovedOnlyWhenItsNameIsTyped(t *testing.T) {
	p := &platform{}
	s := newScreen(t, p, 80, 24)
	s.live(fullPlatform())
	s.press("6", "d", "glob", "enter")
	s.wants("that is not acme")
	s.press("esc", "s", "y", "down", "s", "down", "d", "s")
	s.wants("it is the platform's own")
	s.press("up", "d", "globex", "enter")
	want := []string{"SuspendTenant acme false", "SuspendTenant globex true", "RemoveTenant globex"}
	if !slices.Equal(p.asked, want) {
		t.Errorf("asked %v, want %v", p.asked, want)
	}
}

func TestNobodyIsOfferedWhatIsRefused(t *testing.T) {
	p := &platform{devices: manyDevices(3), detail: deviceDetail()}
	s := newScreen(t, p, 80, 24)
	snapshot := fullPlatform()
	snapshot.Caller = &adminv1.Operator{Name: "vera", Role: "viewer"}
	s.live(snapshot)
	s.wants("vera, viewer")
	for _, keys := range [][]string{
		{"2", "n"}, {"2", "a"}, {"2", "e"}, {"2", "t"}, {"2", "S"}, {"2", "space"}, {"2", "d"}, {"2", "h", "r"},
		{"3", "a"}, {"3", "down", "S"}, {"3", "down", "r"}, {"3", "down", "R"}, {"3", "down", "d"},
		{"4", "space", "space", "m"}, {"4", "enter", "u"}, {"4", "enter", "x"}, {"6", "c"}, {"6", "s"}, {"6", "d"},
	} {
		s.press(keys...)
		s.wants("it takes the role")
		for range 6 {
			s.press("esc")
		}
	}
	for _, call := range p.asked {
		if !strings.HasPrefix(call, "List") && !strings.HasPrefix(call, "Explain") && !strings.HasPrefix(call, "Count") {
			t.Errorf("asked %s", call)
		}
	}
}

func TestAnOperatorOfOneTenantSeesNoOther(t *testing.T) {
	s := newScreen(t, &platform{}, 80, 24)
	snapshot := fullPlatform()
	snapshot.Caller, snapshot.Tenants = &adminv1.Operator{Name: "bob", Role: "admin", Tenant: "acme"}, snapshot.Tenants[:1]
	s.live(snapshot)
	s.wants("tenant acme", "bob, admin")
	s.press("4", "t", "5", "t", "6", "c")
	s.wants("operator bob is limited to tenant acme")
	if len(s.model.dialogs) != 0 {
		t.Errorf("%d dialogs", len(s.model.dialogs))
	}
}

func TestKeysTypedAheadGoWhereTheyAreMeantTo(t *testing.T) {
	p := &platform{}
	s := newScreen(t, p, 80, 24)
	s.live(fullPlatform())
	// As a terminal hands them over: one message after the other, and what their
	// commands bring only later.
	for _, key := range []tea.KeyPressMsg{{Code: '6', Text: "6"}, {Code: 'c', Text: "c"}, {Code: 'a', Text: "a"}, {Code: 'd', Text: "d"}} {
		s.model.Update(key)
	}
	s.wants("New tenant", "Slug           ad")
}

func TestAnErrorThatHasNoRoomIsShownWhole(t *testing.T) {
	p := &platform{refuse: status.Error(codes.FailedPrecondition, "disable source dc-netbox: "+strings.Repeat("so it is, ", 20)+"do this next")}
	s := newScreen(t, p, 80, 24)
	s.live(fullPlatform())
	s.press("2", "space")
	s.wants("That did not work", "this next")
}

func TestWhenNobodyServesThatIsSaid(t *testing.T) {
	unserved := true
	s := newScreen(t, &platform{}, 80, 24)
	s.model.env.Unserved = func() bool { return unserved }
	s.live(emptyPlatform())
	s.wants("edgesync serve is not running")
	unserved = false
	s.wants("● live")
}
