package demo

import (
	"context"
	"fmt"
	"math"
	"strconv"

	"edgesync/cmd/cmdutil"
	adminv1 "edgesync/proto/admin/v1"
)

// document is what a demo came to, as scripts read it.
type document struct {
	Seconds float64          `json:"seconds"`
	Tenants []tenantDocument `json:"tenants"`
}

type tenantDocument struct {
	Slug    string           `json:"slug"`
	Sources []sourceDocument `json:"sources"`
}

type sourceDocument struct {
	Name       string `json:"name"`
	SourceType string `json:"source_type"`
	// Expected is what the system has, Devices what the platform then has.
	Expected         int     `json:"expected"`
	Devices          int64   `json:"devices"`
	Seconds          float64 `json:"seconds"`
	DevicesPerSecond float64 `json:"devices_per_second"`

	result, detail string
}

// count asks the platform what it has of each source.
func (s *stage) count(ctx context.Context, client adminv1.AdminClient, sites []*site) (document, error) {
	d := document{Tenants: []tenantDocument{}}
	rows := s.board.snapshot()
	for _, one := range sites {
		tenant := tenantDocument{Slug: one.tenant, Sources: []sourceDocument{}}
		for i, source := range sources {
			answer, err := client.CountDevices(ctx, &adminv1.ListDevicesRequest{Tenant: one.tenant, Source: source.name})
			if err != nil {
				return d, err
			}
			r := rows[len(d.Tenants)*len(sources)+i]
			seconds := r.seconds(s.opts.Now())
			counted := sourceDocument{
				Name: source.name, SourceType: source.kind, Expected: r.expected, Devices: answer.GetCount(),
				Seconds: math.Round(seconds*1000) / 1000, result: r.result, detail: r.detail,
			}
			if seconds > 0 {
				counted.DevicesPerSecond = math.Round(float64(counted.Devices) / seconds)
			}
			tenant.Sources = append(tenant.Sources, counted)
		}
		d.Tenants = append(d.Tenants, tenant)
	}
	return d, nil
}

// line is one source in the table.
type summaryLine struct {
	tenant string
	sourceDocument
}

func (d document) print(opts *Options) error {
	if !opts.Format.Human() {
		return cmdutil.PrintOne(opts.IO, opts.Format, nil, d)
	}
	var lines []summaryLine
	for _, tenant := range d.Tenants {
		for _, source := range tenant.Sources {
			lines = append(lines, summaryLine{tenant.Slug, source})
		}
	}
	err := cmdutil.PrintList(opts.IO, opts.Format, []cmdutil.Column[summaryLine]{
		{Title: "tenant", Value: func(l summaryLine) string { return l.tenant }},
		{Title: "source", Value: func(l summaryLine) string { return l.Name }},
		{Title: "result", Value: func(l summaryLine) string { return l.result }},
		{Title: "expected", Value: func(l summaryLine) string { return strconv.Itoa(l.Expected) }},
		{Title: "devices", Value: func(l summaryLine) string { return strconv.FormatInt(l.Devices, 10) }},
		{Title: "seconds", Value: func(l summaryLine) string { return strconv.FormatFloat(l.Seconds, 'f', 1, 64) }},
		{Title: "devices/s", Value: func(l summaryLine) string { return strconv.FormatFloat(l.DevicesPerSecond, 'f', 0, 64) }},
	}, lines)
	if err == nil {
		opts.IO.Tellf("done in %.1f s", d.Seconds)
	}
	return err
}

// judge fails the demo where the platform has not exactly what the systems have.
func (d document) judge() error {
	for _, tenant := range d.Tenants {
		for _, source := range tenant.Sources {
			if int64(source.Expected) != source.Devices {
				return fmt.Errorf("sync source %s of tenant %s: the platform has %d of %d devices (run %s: %s); run again with --keep and read demo.log",
					source.Name, tenant.Slug, source.Devices, source.Expected, source.result, source.detail)
			}
		}
	}
	return nil
}
