package cmdutil

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	adminv1 "edgesync/proto/admin/v1"
)

// SyncResult is what a sync-now came to, as scripts read it.
type SyncResult struct {
	Total        int32          `json:"total"`
	Done         int32          `json:"done"`
	Failed       int32          `json:"failed"`
	Devices      int64          `json:"devices"`
	Acknowledged int64          `json:"acknowledged"`
	Sources      []SyncedSource `json:"sources"`
}

// SyncedSource is one source of a SyncResult.
type SyncedSource struct {
	ID           string `json:"id"`
	Tenant       string `json:"tenant"`
	Name         string `json:"name"`
	Result       string `json:"result"`
	Devices      int64  `json:"devices"`
	Acknowledged int64  `json:"acknowledged"`
	ErrorMessage string `json:"error_message"`
}

// SyncNow has sources run at once, tells of their progress on the error stream
// and prints the result. what names them. That a run failed is an error.
func SyncNow(ctx context.Context, f *Factory, client adminv1.AdminClient, request *adminv1.SyncNowRequest, what string) error {
	stream, err := client.SyncNow(ctx, request)
	if err != nil {
		return err
	}
	board := syncBoard{StartProgress(f, "sync "+what), map[string]*Task{}, map[string]string{}}
	defer board.progress.End()
	var last *adminv1.SyncNowProgress
	for {
		progress, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		last = progress
		board.show(progress)
	}
	board.progress.End()
	if !last.GetFinished() {
		return Errorf(ExitUnavailable, "sync %s: the platform ended before the result came: see `edgesync source show`", what)
	}
	result := newSyncResult(last)
	if err := printSyncResult(f, result, what); err != nil {
		return err
	}
	if result.Failed > 0 {
		return Errorf(ExitFailed, "sync %s: %d of %s did not come over whole: %s", what, result.Failed, Plural(int64(result.Total), "source"), firstTrouble(result))
	}
	return nil
}

func newSyncResult(p *adminv1.SyncNowProgress) SyncResult {
	result := SyncResult{
		Total: p.GetTotal(), Done: p.GetDone(), Failed: p.GetFailed(),
		Devices: p.GetDevices(), Acknowledged: p.GetAcknowledged(), Sources: []SyncedSource{},
	}
	for _, s := range p.GetSources() {
		result.Sources = append(result.Sources, SyncedSource{
			ID: s.GetSourceId(), Tenant: s.GetTenant(), Name: s.GetName(), Result: s.GetResult(),
			Devices: s.GetDevices(), Acknowledged: s.GetAcknowledged(), ErrorMessage: s.GetError(),
		})
	}
	return result
}

func printSyncResult(f *Factory, result SyncResult, what string) error {
	return PrintDone(f.IO, f.Format, result, "synced %s: %d of %s, %s found, %s stored", what, result.Total-result.Failed,
		Plural(int64(result.Total), "source"), Plural(result.Devices, "device"), Plural(result.Acknowledged, "update"))
}

func firstTrouble(result SyncResult) string {
	for _, s := range result.Sources {
		if s.Result != "success" {
			return strings.Join([]string{s.Name, s.Result, s.ErrorMessage}, " ")
		}
	}
	return "see `edgesync source list`"
}

// syncBoard shows how far each source of a sync-now has come.
type syncBoard struct {
	progress *Progress
	tasks    map[string]*Task
	states   map[string]string
}

func (b *syncBoard) show(p *adminv1.SyncNowProgress) {
	b.progress.Head(fmt.Sprintf("%d of %s done, %d failed, %s stored", p.GetDone(), Plural(int64(p.GetTotal()), "source"), p.GetFailed(), grouped(p.GetAcknowledged(), "device")))
	for _, s := range p.GetSources() {
		task := b.tasks[s.GetSourceId()]
		if task == nil {
			task = b.progress.Task(s.GetTenant()+"/"+s.GetName(), "device", 0)
			b.tasks[s.GetSourceId()] = task
		}
		if state := s.GetState(); b.states[s.GetSourceId()] != state {
			b.states[s.GetSourceId()] = state
			total := int64(0)
			if state == "sending" {
				total = s.GetDevices()
			}
			task.Begin(state, total)
		}
		switch s.GetState() {
		case "reading":
			task.Set(s.GetDevices())
		case "done":
			task.Set(s.GetAcknowledged())
			task.End(s.GetResult(), s.GetError())
		default:
			task.Set(s.GetAcknowledged())
		}
	}
}
