package claim

import (
	"errors"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tasktier/tasktier/task"
	"pgregory.net/rapid"
)

var states = []State{Pending, Running, Retrying, Dying, Succeeded, Dead, Canceled}

// The text is what nodes of different versions read of each other: it changes with Format, or never.
var golden = []struct {
	text  string
	claim Claim
}{
	{"1p 0 1 1 0 - - 0 1700000000000 mail.send", Claim{
		State: Pending, Turn: 1, Attempt: 1, At: 1700000000000, Type: "mail.send",
	}},
	{"1p 0 1 1 0 d - 0 1700000000000 a b", Claim{
		State: Pending, Turn: 1, Attempt: 1, Flags: Delayed, At: 1700000000000, Type: "a b",
	}},
	{"1x 2 13 4 1 cak sabcdefghijkl gqll7vatq9 +0 mail.send", Claim{
		State: Running, Generation: 2, Turn: 13, Attempt: 4, Crashes: 1, Flags: CancelAsked | Alone | TakenOver,
		Owner: "sabcdefghijkl", Fence: 1700000000000001, At: 1700000000000, Type: "mail.send",
	}},
	{"1r 0 1 1 0 - o gqll7vatq9 5 t", Claim{State: Retrying, Turn: 1, Attempt: 1, Owner: "o", Fence: 1700000000000001, At: 5, Type: "t"}},
	{"1c 2147483647 1 1 0 - - 0 5 ", Claim{State: Canceled, Generation: AllGenerations, Turn: 1, Attempt: 1, At: 5}},
	{"1s 0 1 1 0 k o 7 +5 t", Claim{State: Succeeded, Turn: 1, Attempt: 1, Flags: TakenOver, Owner: "o", Fence: 7, At: 5, Type: "t"}},
	{"1d 0 1 1 0 - o 7 +5 t", Claim{State: Dead, Turn: 1, Attempt: 1, Owner: "o", Fence: 7, At: 5, Type: "t"}},
	{"1y 0 1 1 3 k o 7 +5 t", Claim{State: Dying, Turn: 1, Attempt: 1, Crashes: 3, Flags: TakenOver, Owner: "o", Fence: 7, At: 5, Type: "t"}},
	{"1r 0 2 2 0 - o 7 +5 t", Claim{State: Retrying, Turn: 2, Attempt: 2, Owner: "o", Fence: 7, At: 5, Type: "t"}},
}

func TestGoldenTexts(t *testing.T) {
	for _, g := range golden {
		if got := g.claim.String(); got != g.text {
			t.Errorf("written %q, want %q", got, g.text)
		}
		if got, err := Parse(g.text); err != nil || got != g.claim {
			t.Errorf("read %q: %+v, %v, want %+v", g.text, got, err, g.claim)
		}
	}
}

func drawClaim(t *rapid.T) Claim {
	small := rapid.IntRange(0, math.MaxInt32)
	return Claim{
		State:      rapid.SampledFrom(states).Draw(t, "state"),
		Generation: small.Draw(t, "generation"), Turn: small.Draw(t, "turn"),
		Attempt: small.Draw(t, "attempt"), Crashes: small.Draw(t, "crashes"),
		Flags: Flags(rapid.IntRange(0, 1<<len(flagLetters)-1).Draw(t, "flags")),
		Owner: rapid.StringMatching(`([a-z2-7]{13})?`).Draw(t, "owner"),
		Fence: rapid.Int64Min(0).Draw(t, "fence"), At: rapid.Int64().Draw(t, "at"),
		Type: rapid.String().Draw(t, "type"),
	}
}

func TestTextRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawClaim(t)
		got, err := Parse(c.String())
		if err != nil || got != c {
			t.Fatalf("%q read as %+v, %v; it was %+v", c, got, err, c)
		}
	})
}

// What can't be read is held by somebody: reading it as anything, or as nothing, would be worse.
func TestUnknownFormats(t *testing.T) {
	const good = "1x 2 13 4 1 cak owner 17 5 mail.send"
	if _, err := Parse(good); err != nil {
		t.Fatal(err)
	}
	texts := []string{
		"", "1", "1x", "1x ", " ", "x", "2x 2 13 4 1 cak owner 17 5 mail.send", "0x 2 13 4 1 cak owner 17 5 mail.send",
		"11x 2 13 4 1 cak owner 17 5 mail.send", "1X 2 13 4 1 cak owner 17 5 mail.send", "1z 2 13 4 1 cak owner 17 5 mail.send",
		"1 x 2 13 4 1 cak owner 17 5 mail.send", "1x2 13 4 1 cak owner 17 5 mail.send",
		"1x -1 13 4 1 cak owner 17 5 t", "1x 2 2147483648 4 1 cak owner 17 5 t", "1x 2 13 4.0 1 cak owner 17 5 t",
		"1x 2 13 4 0x1 cak owner 17 5 t", "1x 2 13 4 1 z owner 17 5 t", "1x 2 13 4 1 -c owner 17 5 t",
		"1x 2 13 4 1 cak owner f.5 5 t", "1x 2 13 4 1 cak owner 17 +é t", "1x 2 13 4 1 cak owner 17 99999999999999999999 t",
		`{"state":"running"}`,
	}
	for n := range good {
		if strings.Count(good[:n], " ") < 9 {
			texts = append(texts, good[:n]) // all that ends before the type
		}
	}
	for _, text := range texts {
		if c, err := Parse(text); !errors.Is(err, ErrFormat) {
			t.Errorf("read %q: %+v, %v, want ErrFormat", text, c, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, g := range golden {
		f.Add(g.text)
		f.Add("2" + g.text[1:])
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse(text)
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Fatalf("read %q: %v", text, err)
			}
			return
		}
		if again, err := Parse(c.String()); err != nil || again != c {
			t.Fatalf("read %q: %+v; written %q and read: %+v, %v", text, c, c, again, err)
		}
		if !c.State.valid() || c.Generation < 0 || c.Turn < 0 || c.Attempt < 0 || c.Crashes < 0 {
			t.Fatalf("read %q: %+v", text, c)
		}
	})
}

// The first 128 bits of the SHA-256 of "\x05tasks\x05/shop$01890a5d-ac96-774b-bcce-b302099a8057", in base64.
const goldenKey = "tasktier:{4}:FGooEPfyMtrjWYxprLz-JQ"

func TestKeys(t *testing.T) {
	t.Parallel()
	key := Identity{"tasks", "/shop", "01890a5d-ac96-774b-bcce-b302099a8057"}.Key()
	if got, want := key.text("tasktier"), goldenKey; got != want {
		t.Errorf("key %q, want %q: claims that exist would not be found any more", got, want)
	}
	long := Identity{strings.Repeat("q", 200), strings.Repeat("s", 500), strings.Repeat("i", 500)}.Key()
	if got := long.text("tasktier"); len(got) != len(goldenKey) {
		t.Errorf("key %q has %d bytes, others %d", got, len(got), len(goldenKey))
	}
	shape := regexp.MustCompile(`^tasktier:\{[0-9a-f]\}:[A-Za-z0-9_-]{22}$`)
	var of [buckets]int
	for i := range 16_000 {
		k := Identity{"q", "s", string(rune('a'+i%26)) + strings.Repeat("x", i/26)}.Key()
		if !shape.MatchString(k.text("tasktier")) {
			t.Fatalf("key %q", k.text("tasktier"))
		}
		of[k.bucket()]++
	}
	for b, n := range of {
		if n < 800 || n > 1200 {
			t.Errorf("bucket %d has %d of 16,000 keys", b, n)
		}
	}
	if a, b := (Identity{"a", "bc", "d"}).Key(), (Identity{"ab", "c", "d"}).Key(); a == b {
		t.Error("two identities run into each other")
	}
}

func TestTaskStates(t *testing.T) {
	now := time.UnixMilli(1000)
	for _, c := range []struct {
		claim Claim
		want  task.State
	}{
		{Claim{State: Pending, At: 2000}, task.Pending}, // snoozed
		{Claim{State: Pending, At: 2000, Flags: Delayed}, task.Scheduled},
		{Claim{State: Pending, At: 1000, Flags: Delayed}, task.Pending},
		{Claim{State: Running}, task.Running},
		{Claim{State: Dying}, task.Running},
		{Claim{State: Retrying, At: 2000}, task.Retrying},
		{Claim{State: Succeeded}, task.Succeeded},
		{Claim{State: Dead}, task.Dead},
		{Claim{State: Canceled}, task.Canceled},
	} {
		if got := c.claim.TaskState(now); got != c.want {
			t.Errorf("%c, flags %b, at %d: %s, want %s", c.claim.State, c.claim.Flags, c.claim.At, got, c.want)
		}
	}
}

func TestVerdictsHaveNames(t *testing.T) {
	seen := make(map[string]bool)
	for v := Run; v <= Again; v++ {
		seen[v.String()] = true
	}
	if len(seen) != 6 {
		t.Errorf("names %v", seen)
	}
}
