package config

import (
	"testing"
	"time"
)

func TestBreakerOfATypeOverridesTheNodes(t *testing.T) {
	cfg := mustLoad(t, `
node: {breaker: {enabled: false, min_attempts: 50}}
types:
  bare: {timeout: 1m}
  on: {breaker: }
  off: {breaker: {enabled: false}}
  keen: {breaker: {threshold: 0.5, window: 1m}}
`, "TASKTIER_NODE_BREAKER_THRESHOLD=0.75", "TASKTIER_TYPES_KEEN_BREAKER_LIMIT=1h")
	equalValue(t, cfg.Node.Breaker, Breaker{Threshold: 0.75, MinAttempts: 50, Window: 10 * time.Second, Limit: 24 * time.Hour})
	for typ, want := range map[string]*Breaker{
		"bare": nil, "off": {}, "keen": {Enabled: true, Threshold: 0.5, Window: time.Minute, Limit: time.Hour},
	} {
		equalValue(t, cfg.Types[typ].Breaker, want)
	}
}

func TestBreakerIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"node: {breaker: {threshold: 0}}":                        "node.breaker.threshold: is 0; above 0 and at most 1",
		"node: {breaker: {threshold: 95}}":                       "node.breaker.threshold: is 95; above 0 and at most 1",
		"node: {breaker: {threshold: most}}":                     `node.breaker.threshold: "most" is no number`,
		"node: {breaker: {threshold: .nan}}":                     `node.breaker.threshold: ".nan" is no number`,
		"node: {breaker: {min_attempts: 100000}}":                "node.breaker.min_attempts: is 100000; use 1 to 10000",
		"node: {breaker: {window: 0s}}":                          "node.breaker.window: is 0s; it must be longer than 0",
		"types: {x: {breaker: {limit: -1s}}}":                    "types.x.breaker.limit: is -1s; it must be longer than 0, or 0 for the node's",
		"types: {x: {breaker: {threshold: 1.5}}}":                "types.x.breaker.threshold: is 1.5; above 0 and at most 1, or 0 for the node's",
		"types: {x: {breaker: off}}":                             "types.x.breaker: keys and values are wanted here, not a single value",
		"types: {x: {timeout: 1s, breaker: {min_attempts: -1}}}": "types.x.breaker.min_attempts: is -1; use 1 to 10000, or 0 for the node's",
	} {
		path := write(t, text)
		cfg, err := Load(path, nil)
		if err == nil {
			err = cfg.Validate()
		}
		isError(t, err, path+":1: "+want)
	}
}
