package bench

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

type riverSettings struct {
	workers, connections int
	cooldown, poll       time.Duration // 0: River's default
}

// riverBest is what measured best on two cores, of 500 to 5,000 workers, 4 to 30 connections, a cooldown of 1 to 5 ms and a
// poll of 5 or 100 ms.
var (
	riverBest     = riverSettings{workers: 2000, connections: 4, cooldown: time.Millisecond, poll: 5 * time.Millisecond}
	riverDefaults = riverSettings{workers: concurrency}
)

// Kind names mails as jobs of River.
func (mail) Kind() string { return kind }

type riverSide struct {
	pool   *pgxpool.Pool
	client *river.Client[pgx.Tx]
	worker *riverWorker
}

// riverWorker is River's handler. run sets handle before the client starts.
type riverWorker struct {
	river.WorkerDefaults[mail]
	handle func(mail)
}

func (w *riverWorker) Work(_ context.Context, job *river.Job[mail]) error {
	w.handle(job.Args)
	return nil
}

func openRiver(set riverSettings) func(*testing.B, *servers) system {
	return func(b *testing.B, on *servers) system {
		cfg, err := pgxpool.ParseConfig(on.postgres(b))
		if err != nil {
			b.Fatal(err)
		}
		if set.connections > 0 {
			cfg.MaxConns = int32(set.connections)
		}
		s := riverSide{worker: &riverWorker{}}
		if s.pool, err = pgxpool.NewWithConfig(b.Context(), cfg); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(s.pool.Close)
		migrator, err := rivermigrate.New(riverpgxv5.New(s.pool), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
		if err == nil {
			_, err = migrator.Migrate(b.Context(), rivermigrate.DirectionUp, nil)
		}
		if err != nil {
			b.Fatal(err)
		}
		s.exec(b, "TRUNCATE river_job")
		workers := river.NewWorkers()
		river.AddWorker(workers, s.worker)
		s.client, err = river.NewClient(riverpgxv5.New(s.pool), &river.Config{
			Queues:            map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: set.workers}},
			FetchCooldown:     set.cooldown,
			FetchPollInterval: set.poll,
			JobTimeout:        -1, // none: it costs a timer a job
			Logger:            slog.New(slog.DiscardHandler),
			Workers:           workers,
		})
		if err != nil {
			b.Fatal(err)
		}
		return s
	}
}

func (s riverSide) fill(b *testing.B, n int) {
	b.Helper()
	for at := 0; at < n; at += 10_000 {
		jobs := make([]river.InsertManyParams, min(10_000, n-at))
		for i := range jobs {
			jobs[i].Args = newMail(at + i)
		}
		if _, err := s.client.InsertManyFast(b.Context(), jobs); err != nil {
			b.Fatal(err)
		}
	}
	s.exec(b, "VACUUM (ANALYZE) river_job") // so that autovacuum does not come in between
}

func (s riverSide) send(ctx context.Context, m mail) error {
	_, err := s.client.Insert(ctx, m, nil)
	return err
}

// River's scheduler comes by every 5 s, of which there is no setting, and makes available what is due until it comes again;
// a job then starts with the first poll after its time.
func (s riverSide) sendAt(ctx context.Context, m mail, at time.Time) error {
	_, err := s.client.Insert(ctx, m, &river.InsertOpts{ScheduledAt: at})
	return err
}

func (s riverSide) run(ctx context.Context, handle func(mail)) error {
	s.worker.handle = handle
	if err := s.client.Start(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	<-ctx.Done()
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	return s.client.Stop(stop)
}

func (s riverSide) exec(b *testing.B, statement string) {
	b.Helper()
	if _, err := s.pool.Exec(b.Context(), statement); err != nil {
		b.Fatal(err)
	}
}
