package history

import "testing"

func TestZombiesLose(t *testing.T) {
	const paused = `
			1 n1 starts x 0.1.1 f7
			2 n pauses n1
			13 n2 starts x 0.1.1 f8
			14 n2 ends x 0.1.1 f8 succeeded
			15 n resumes n1`
	try(t, rules, []trial{
		{"the one that took over counts", paused + `
			15.1 n1 ends x 0.1.1 f7 succeeded
			19 c claims x succeeded 0.1 f8 n2`, "", ""},
		{"the zombie counts", paused + `
			15.1 n1 ends x 0.1.1 f7 succeeded
			19 c claims x succeeded 0.1 f7 n1`, ZombiesLose, "had begun after it"},
		{"the zombie's result counts", paused + `
			15.1 n1 ends x 0.1.1 f7 succeeded
			19 c claims x succeeded 0.1 f8 n1`, ZombiesLose, "its result is"},
		{"a success without a run", `
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 succeeded
			19 c claims x succeeded 0.1 f9`, ZombiesLose, "no run of it did"},
		{"a zombie that nobody has taken over counts", `
			1 n1 starts x 0.1.1 f7
			2 n pauses n1
			15 n resumes n1
			15.1 n1 ends x 0.1.1 f7 succeeded
			19 c claims x succeeded 0.1 f7 n1`, "", ""},
		{"a zombie is not told", paused + `
			17 n1 ends x 0.1.1 f7 succeeded
			19 c claims x succeeded 0.1 f8 n2`, ZombiesLose, "its context had not ended"},
		{"a pause that may have been too long, and was not", `
			1 n1 starts x 0.1.1 f7
			2 n pauses n1
			8 n resumes n1
			17 n1 ends x 0.1.1 f7 succeeded
			19 c claims x succeeded 0.1 f7 n1`, "", ""},
		{"a deaf zombie", paused + `
			17 n1 ends x 0.1.1 f7 succeeded over
			19 c claims x succeeded 0.1 f8 n2`, "", ""},
		{"a session that is over by its own word", `
			1 n1 starts x 0.1.1 f7
			9 n1 over
			12 n1 ends x 0.1.1 f7 succeeded
			19 c claims x succeeded 0.1 f7 n1`, ZombiesLose, "its context had not ended"},
		{"a run of the next session", `
			9 n1 over
			10 n1 starts x 0.1.1 f7
			19 n1 ends x 0.1.1 f7 succeeded
			19 c claims x succeeded 0.1 f7 n1`, "", ""},
	})
}
