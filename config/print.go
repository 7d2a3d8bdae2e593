package config

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

const hidden = "xxxxx"

// YAML is the configuration as a file that [Load] reads back to the same, with every default written out. Passwords are
// files and stand there by their paths. What else may be a secret is replaced by xxxxx: in a handler's URL the password
// and the values of the query, and the values of the variables that a command is given.
func (c Config) YAML() ([]byte, error) {
	c.Types = maps.Clone(c.Types)
	for name, t := range c.Types {
		c.Types[name] = t.redacted()
	}
	return yaml.MarshalWithOptions(c,
		yaml.IndentSequence(true),
		yaml.CustomMarshaler(func(d time.Duration) ([]byte, error) { return []byte(formatDuration(d)), nil }),
		yaml.CustomMarshaler(func(b Bytes) ([]byte, error) { return []byte(b.String()), nil }),
	)
}

func (t Type) redacted() Type {
	if t.HTTP != nil {
		h := *t.HTTP
		h.URL = redactURL(h.URL)
		t.HTTP = &h
	}
	if t.Exec != nil {
		e := *t.Exec
		e.Env = slices.Clone(e.Env)
		for i, v := range e.Env {
			if name, _, ok := strings.Cut(v, "="); ok {
				e.Env[i] = name + "=" + hidden
			}
		}
		t.Exec = &e
	}
	return t
}

func redactURL(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return hidden // no telling what it holds
	}
	if u.RawQuery != "" {
		q := u.Query()
		for k := range q {
			q[k] = []string{hidden}
		}
		u.RawQuery = q.Encode()
	}
	return u.Redacted()
}
