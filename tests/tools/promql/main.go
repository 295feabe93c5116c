// Promql runs the queries of a Grafana dashboard against scrapes of /metrics, with
// Prometheus's own engine, and fails if one of them is wrong or finds nothing.
//
//	promql DASHBOARD.json SCRAPE ...
//
// Scrapes are files in the text format, in order, and count as 30 s apart.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
)

const interval = 30 * time.Second

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: promql DASHBOARD.json SCRAPE SCRAPE ...")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "promql:", err)
		os.Exit(1)
	}
}

func run(dashboard string, scrapes []string) (err error) {
	queries, err := queriesOf(dashboard)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "promql-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	db, err := tsdb.Open(dir, nil, nil, tsdb.DefaultOptions(), nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	at := time.Now().Add(-time.Duration(len(scrapes)) * interval)
	for _, scrape := range scrapes {
		at = at.Add(interval)
		if err := load(db, scrape, at); err != nil {
			return fmt.Errorf("%s: %w", scrape, err)
		}
	}
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute, LookbackDelta: time.Minute, Parser: parser.NewParser(parser.Options{})})
	var errs []error
	for _, q := range queries {
		errs = append(errs, ask(engine, db, q, at))
	}
	fmt.Printf("%d queries\n", len(queries))
	return errors.Join(errs...)
}

// queriesOf are the expressions of all panels, with values for Grafana's variables.
func queriesOf(dashboard string) ([]string, error) {
	data, err := os.ReadFile(dashboard)
	if err != nil {
		return nil, err
	}
	var d struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, err
	}
	var list []string
	variables := strings.NewReplacer("$instance", ".*", "$__rate_interval", (time.Duration(4) * interval).String())
	for _, p := range d.Panels {
		if len(p.Targets) == 0 {
			return nil, fmt.Errorf("panel %q asks for nothing", p.Title)
		}
		for _, t := range p.Targets {
			list = append(list, variables.Replace(t.Expr))
		}
	}
	return list, nil
}

// load takes in one scrape, as of a target of a job.
func load(db *tsdb.DB, scrape string, at time.Time) error {
	data, err := os.ReadFile(scrape)
	if err != nil {
		return err
	}
	app := db.Appender(context.Background())
	p := textparse.NewPromParser(data, labels.NewSymbolTable(), false)
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return app.Commit()
		}
		if err != nil {
			return err
		}
		if entry != textparse.EntrySeries {
			continue
		}
		_, _, value := p.Series()
		var series labels.Labels
		p.Labels(&series)
		b := labels.NewBuilder(series)
		b.Set("instance", "node:9645").Set("job", "nri-netdev/nri-netdev")
		if _, err := app.Append(0, b.Labels(), at.UnixMilli(), value); err != nil {
			return err
		}
	}
}

// ask runs one query, which must find something.
func ask(engine *promql.Engine, db storage.Queryable, query string, at time.Time) error {
	q, err := engine.NewInstantQuery(context.Background(), db, nil, query, at)
	if err != nil {
		return fmt.Errorf("%s: %w", query, err)
	}
	defer q.Close()
	r := q.Exec(context.Background())
	if r.Err != nil {
		return fmt.Errorf("%s: %w", query, r.Err)
	}
	v, err := r.Vector()
	if err == nil && len(v) == 0 {
		err = errors.New("finds nothing")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", query, err)
	}
	return nil
}
