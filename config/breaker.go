package config

import "time"

// Breaker spares the attempts of a type that is in an outage: when nearly all of its latest attempts on a node have failed,
// the node starts only a few to see whether it works again, and puts the rest off without using an attempt. In the
// section of a type a zero field has the node's value.
type Breaker struct {
	// Enabled turns it on. Default: true, also in the section of a type of a node where it is off.
	Enabled bool `yaml:"enabled"`
	// Threshold is the share of attempts that fail in an outage, above 0 and at most 1. Default: 0.95.
	Threshold float64 `yaml:"threshold"`
	// MinAttempts is how many attempts must have ended within Window before they are judged; a task that fails again within
	// it counts once. At most 10,000. Default: 20.
	MinAttempts int `yaml:"min_attempts"`
	// Window is how far back attempts count. Default: 10s.
	Window time.Duration `yaml:"window"`
	// Limit is how long nothing may succeed. After it attempts count again, until one has succeeded. Default: 24h.
	Limit time.Duration `yaml:"limit"`
}

func defaultBreaker() Breaker {
	return Breaker{Enabled: true, Threshold: 0.95, MinAttempts: 20, Window: 10 * time.Second, Limit: 24 * time.Hour}
}

// setDefaults is for the section of a type.
func (b *Breaker) setDefaults() { *b = Breaker{Enabled: true} }

// breaker checks a section.
func (v *validator) breaker(key string, b Breaker, ofType bool) {
	unset, or := func(zero bool) bool { return ofType && zero }, ""
	if ofType {
		or = ", or 0 for the node's"
	}
	v.must(unset(b.Threshold == 0) || b.Threshold > 0 && b.Threshold <= 1, key+".threshold", "is %v; above 0 and at most 1%s", b.Threshold, or)
	v.must(unset(b.MinAttempts == 0) || b.MinAttempts >= 1 && b.MinAttempts <= 10_000, key+".min_attempts", "is %d; use 1 to 10000%s", b.MinAttempts, or)
	v.must(unset(b.Window == 0) || b.Window > 0, key+".window", "is %v; it must be longer than 0%s", b.Window, or)
	v.must(unset(b.Limit == 0) || b.Limit > 0, key+".limit", "is %v; it must be longer than 0%s", b.Limit, or)
}
