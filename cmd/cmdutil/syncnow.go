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
	line := progressLine{io: f.IO}
	var last *adminv1.SyncNowProgress
	for {
		progress, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return errors.Join(line.end(), err)
		}
		last = progress
		if err := line.show(progress); err != nil {
			return err
		}
	}
	if err := line.end(); err != nil {
		return err
	}
	if !last.GetFinished() {
		return Errorf(ExitUnavailable, "sync %s: the platform ended before the result came: see `edgesync source show`", what)
	}
	result := newSyncResult(last)
	if err := printSyncResult(f, result, what); err != nil {
		return err
	}
	if result.Failed > 0 {
		return Errorf(ExitFailed, "sync %s: %d of %d sources did not come over whole: %s", what, result.Failed, result.Total, firstTrouble(result))
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
	return PrintDone(f.IO, f.Format, result, "synced %s: %d of %d sources, %d devices found, %d updates stored",
		what, result.Total-result.Failed, result.Total, result.Devices, result.Acknowledged)
}

func firstTrouble(result SyncResult) string {
	for _, s := range result.Sources {
		if s.Result != "success" {
			return strings.Join([]string{s.Name, s.Result, s.ErrorMessage}, " ")
		}
	}
	return "see `edgesync source list`"
}

// progressLine is one line on a terminal that is written over, and elsewhere
// nothing: a log of percentages helps nobody.
type progressLine struct {
	io      *IOStreams
	written bool
}

func (l *progressLine) show(p *adminv1.SyncNowProgress) error {
	if !l.io.ErrTerminal || p.GetFinished() {
		return nil
	}
	l.written = true
	_, err := fmt.Fprintf(l.io.Err, "\r\x1b[K%d of %d sources done, %d failed, %d devices, %d stored",
		p.GetDone(), p.GetTotal(), p.GetFailed(), p.GetDevices(), p.GetAcknowledged())
	return err
}

func (l *progressLine) end() error {
	if !l.written {
		return nil
	}
	l.written = false
	_, err := io.WriteString(l.io.Err, "\r\x1b[K")
	return err
}
