package topic

import "testing"

// A broker that does not report a setting does not know it: no reason to refuse the topic, but worth a word.
func TestCompareWithoutReport(t *testing.T) {
	for _, spec := range Specs("tasktier", []Queue{{Name: "tasks", Partitions: 1, MaxBytes: 1}}) {
		found := compare(spec, 1, 1, nil)
		if len(found) != len(spec.Settings) {
			t.Errorf("%s: %d findings, want one for each of %d settings", spec.Name, len(found), len(spec.Settings))
		}
		for _, f := range found {
			if f.Unsafe {
				t.Errorf("unsafe though nothing is known: %s", f)
			}
		}
	}
}

func TestNormal(t *testing.T) {
	for _, same := range []string{"compact,delete", "delete,compact", " delete , compact"} {
		if got := normal(same); got != "compact,delete" {
			t.Errorf("%q is %q", same, got)
		}
	}
}
