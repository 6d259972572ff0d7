package tui

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

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
	s := newScreen(t, &platform{}, 80, 24)
	s.live(fullPlatform())
	s.send(tea.MouseClickMsg{X: 20, Y: tabLine, Button: tea.MouseLeft})
	if s.model.active != 1 {
		t.Fatalf("page %d", s.model.active)
	}
	s.send(tea.MouseClickMsg{X: 5, Y: bodyLine + 3 + 2, Button: tea.MouseLeft})
	s.press("enter")
	s.wants("hq-armis", "https://hq-armis.example")
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
