package main

import (
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// logger builds the logger that writes to stderr. least is the level where --log-level says nothing.
func (c *cli) logger(least zapcore.Level) *zap.Logger {
	if c.quiet {
		least = zapcore.ErrorLevel
	}
	if c.logLevel.value != "" {
		least, _ = zapcore.ParseLevel(c.logLevel.value) // the flag took known levels only
	}
	format := zap.NewProductionEncoderConfig()
	format.TimeKey = "time"
	format.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	format.EncodeDuration = zapcore.StringDurationEncoder
	encoder := zapcore.NewJSONEncoder(format)
	if c.logFormat.value == "console" {
		format.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		format.EncodeLevel = zapcore.CapitalLevelEncoder
		format.ConsoleSeparator = "  "
		encoder = zapcore.NewConsoleEncoder(format)
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(c.stderr)), least))
}

// untold wraps a logger, so that it says nothing about how single tasks ended: the feed does.
func untold(log *zap.Logger) *zap.Logger {
	return log.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core { return endsLeftOut{core} }))
}

// endsLeftOut drops the entries that have the outcome of an attempt or the reason of a death.
type endsLeftOut struct{ zapcore.Core }

func (c endsLeftOut) With(fields []zapcore.Field) zapcore.Core {
	return endsLeftOut{c.Core.With(fields)}
}

func (c endsLeftOut) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return checked.AddCore(e, c)
	}
	return checked
}

func (c endsLeftOut) Write(e zapcore.Entry, fields []zapcore.Field) error {
	for _, f := range fields {
		if f.Key == "outcome" || f.Key == "reason" {
			return nil
		}
	}
	return c.Core.Write(e, fields)
}

// graveOnly wraps the logger of the embedded servers, who call it an error when they are closed: what they say before they
// end the process is let through, and the errors of Kafka, who calls none what is none.
func graveOnly(log *zap.Logger) *zap.Logger {
	return log.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core { return graveWords{core} }))
}

type graveWords struct{ zapcore.Core }

func (c graveWords) With(fields []zapcore.Field) zapcore.Core { return graveWords{c.Core.With(fields)} }

func (c graveWords) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if e.Level < zapcore.DPanicLevel && (e.Level < zapcore.ErrorLevel || e.LoggerName != "kafka") {
		return checked
	}
	return c.Core.Check(e, checked)
}
