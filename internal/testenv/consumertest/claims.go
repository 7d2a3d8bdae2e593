package consumertest

import (
	"encoding/base64"
	"fmt"
	"testing"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/internal/testenv/bubble"
	"github.com/tasktier/tasktier/internal/testenv/inmemory"
)

// Claims is a Redis with a link to it, a store of claims over that link, and a process in a registry.
type Claims struct {
	*inmemory.Member
	Redis *inmemory.Redis
	Link  *bubble.Link
	Store *claim.Store
	t     *testing.T
}

// NewClaims starts a Redis. Its registry has one member, that of [Claims].
func NewClaims(t *testing.T) *Claims {
	t.Helper()
	c := &Claims{Member: inmemory.NewRegistry().Join(), Redis: inmemory.NewRedis(t), t: t}
	c.Link = bubble.NewLink(c.Redis.DialContext)
	c.Store = c.StoreOver(c.Link)
	return c
}

// StoreOver returns a store that reaches Redis over a link.
func (c *Claims) StoreOver(l *bubble.Link) *claim.Store {
	return claim.NewStore(c.Redis.Client(l.Dial), "tasktier")
}

// Look returns the claim of a task, of State 0 if there is none.
func (c *Claims) Look(id string) claim.Claim {
	c.t.Helper()
	text, _ := c.Redis.Get(Key(id))
	if text == "" {
		return claim.Claim{}
	}
	found, err := claim.Parse(text)
	if err != nil {
		c.t.Errorf("claim %q of %s: %v", text, id, err)
	}
	return found
}

// Identity is that of a task of the queue "tasks" from the source "/test".
func Identity(id string) claim.Identity {
	return claim.Identity{Queue: "tasks", Source: "/test", ID: id}
}

// Key is the key of that task's claim in Redis.
func Key(id string) string {
	k := Identity(id).Key()
	return fmt.Sprintf("tasktier:{%x}:%s", k[0]%16, base64.RawURLEncoding.EncodeToString(k[:]))
}
