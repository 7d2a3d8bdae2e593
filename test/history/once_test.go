package history

import (
	"testing"
	"time"
)

func TestDoneOnce(t *testing.T) {
	const taken = `
			1 n1 starts x 0.1.1 f7
			8 n2 starts x 0.1.1 f8
			9 n2 ends x 0.1.1 f8 succeeded`
	const repeated = `
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 succeeded
			8 n2 starts x 0.1.1 f8
			9 n2 ends x 0.1.1 f8 succeeded`
	try(t, rules, []trial{
		{"it was running, and nothing had happened", taken, DoneOnce, "was running"},
		{"it was running on a process that was killed", taken + `
			3 n kills n1
			3.1 n finds n1 dead`, "", ""},
		{"it was killed later", taken + `
			8.5 n kills n1
			8.6 n finds n1 dead`, DoneOnce, "was running"},
		{"it had stopped without it", taken + `
			5 n1 over
			5.1 n stops n1`, "", ""},
		{"another process was killed", taken + `
			3 n kills n3
			3.1 n finds n3 dead`, DoneOnce, "was running"},
		{"it had succeeded", repeated, DoneOnce, "had succeeded"},
		{"it had just succeeded when its process was killed", repeated + `
			2.9 n kills n1
			3.1 n finds n1 dead`, "", ""},
		{"it had succeeded long before its process was killed", repeated + `
			3.1 n kills n1
			3.2 n finds n1 dead`, DoneOnce, "had succeeded"},
		{"it had succeeded while redis was away, which lasted until its process was killed", repeated + `
			1.5 n breaks redis server=redis
			6 n kills n1
			6.1 n finds n1 dead
			7 n mends redis`, "", ""},
		{"the end was recorded before its process was killed", repeated + `
			2.1 n1 recorded x 0.1
			2.9 n kills n1
			3.1 n finds n1 dead`, DoneOnce, "had succeeded"},
		{"it had succeeded long before its process stopped cleanly", repeated + `
			2.5 n stops n1`, DoneOnce, "had succeeded"},
		{"it stopped cleanly while redis was away", repeated + `
			1.5 n breaks redis server=redis
			6 n stops n1
			7 n mends redis`, "", ""},
		{"its process was paused for longer than its lease", `
			1 n1 starts x 0.1.1 f7
			2 n pauses n1
			13 n2 starts x 0.1.1 f8
			14 n2 ends x 0.1.1 f8 succeeded
			15 n resumes n1
			15.1 n1 ends x 0.1.1 f7 gave-up over`, "", ""},
		{"its process was paused for a moment", `
			1 n1 starts x 0.1.1 f7
			2 n pauses n1
			3 n resumes n1
			13 n2 starts x 0.1.1 f8
			14 n2 ends x 0.1.1 f8 succeeded
			15.1 n1 ends x 0.1.1 f7 failed`, DoneOnce, "ran until"},
		{"its process lost its session", taken + `
			7 n1 over`, "", ""},
		{"its process goes on without etcd, and nobody sees that", `
			1 n breaks etcd server=etcd target=n1
			9 n1 over
			20 n1 starts x 0.1.1 f7
			22 n2 starts x 0.1.1 f8
			23 n2 ends x 0.1.1 f8 succeeded
			24 n mends etcd`, "", ""},
		{"another process goes on without etcd", `
			1 n breaks etcd server=etcd target=n3
			9 n1 over
			20 n1 starts x 0.1.1 f7
			22 n2 starts x 0.1.1 f8
			23 n2 ends x 0.1.1 f8 succeeded
			24 n mends etcd`, DoneOnce, "was running"},
		{"its process loses its session later", `
			1 n1 starts x 0.1.1 f7
			8 n2 starts x 0.1.1 f8
			9 n2 ends x 0.1.1 f8 succeeded
			20 n1 over`, DoneOnce, "was running"},
		{"its process lost its session long after it had ended", repeated + `
			10 n1 over`, DoneOnce, "had succeeded"},
		{"it was taken over before it was told that its session is over", `
			1 n1 starts x 0.1.1 f7
			8 n2 starts x 0.1.1 f8
			9 n1 ends x 0.1.1 f7 gave-up over
			10 n2 ends x 0.1.1 f8 succeeded`, "", ""},
		{"it had just failed when kafka went away, and its process was killed", `
			0 p sends x fails=1
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 failed
			2.1 n breaks kafka server=kafka
			6 n kills n1
			6.1 n finds n1 dead
			7 n mends kafka
			8 n2 starts x 0.1.1 f8
			9 n2 ends x 0.1.1 f8 succeeded`, "", ""},
		{"it had succeeded when kafka went away, and its process was killed", repeated + `
			2.1 n breaks kafka server=kafka
			6 n kills n1
			6.1 n finds n1 dead
			7 n mends kafka`, DoneOnce, "had succeeded"},
		{"it had just succeeded when its process was paused, and then killed", repeated + `
			2.1 n pauses n1
			5 n kills n1
			5.1 n finds n1 dead`, "", ""},
		{"it was told that its session is over", `
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 gave-up over
			8 n2 starts x 0.1.1 f8
			9 n2 ends x 0.1.1 f8 succeeded`, "", ""},
		{"redis was flushed in between", repeated + `
			5 n breaks redis server=redis forgets=flushed
			6 n mends redis`, "", ""},
		{"redis was away in between, and forgot nothing", repeated + `
			5 n breaks redis server=redis
			6 n mends redis`, DoneOnce, "had succeeded"},
		{"redis was flushed before", `
			0.1 n breaks redis server=redis forgets=flushed
			0.2 n mends redis` + repeated, DoneOnce, "had succeeded"},
		{"redis was flushed just before", `
			4.5 n breaks redis server=redis forgets=flushed
			4.6 n mends redis
			5 n1 starts x 0.1.1 f7
			5.5 n1 ends x 0.1.1 f7 succeeded
			6 n2 starts x 0.1.1 f8
			7 n2 ends x 0.1.1 f8 succeeded`, DoneOnce, "had succeeded"},
		{"redis was flushed later", repeated + `
			8.5 n breaks redis server=redis forgets=flushed
			8.6 n mends redis`, DoneOnce, "had succeeded"},
		{"redis was flushed while it ran", taken + `
			9.5 n1 ends x 0.1.1 f7 succeeded
			4 n breaks redis server=redis forgets=flushed
			5 n mends redis`, "", ""},
		{"redis was flushed while it ran, long ago", `
			1 n1 starts x 0.1.1 f7
			18 n2 starts x 0.1.1 f8
			19 n2 ends x 0.1.1 f8 succeeded
			19.5 n1 ends x 0.1.1 f7 succeeded
			4 n breaks redis server=redis forgets=flushed
			5 n mends redis`, DoneOnce, "ran until"},
		{"etcd forgot, which is no excuse by itself", repeated + `
			5 n breaks etcd server=etcd forgets=flushed
			6 n mends etcd`, DoneOnce, "had succeeded"},
		{"its node was stopping and gave it up", `
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 gave-up stopping
			8 n2 starts x 0.1.1 f8
			9 n2 ends x 0.1.1 f8 succeeded`, "", ""},
		{"a zombie starts late", `
			1 n2 starts x 0.1.1 f8
			2 n2 ends x 0.1.1 f8 succeeded
			0.5 n pauses n1
			13 n resumes n1
			13.1 n1 starts x 0.1.1 f7
			13.2 n1 ends x 0.1.1 f7 gave-up over
			19 c claims x succeeded 0.1 f8 n2`, "", ""},
		{"a failure and the next turn", `
			0 p sends x fails=1
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 failed
			3 n2 starts x 0.2.2 f8
			4 n2 ends x 0.2.2 f8 succeeded`, "", ""},
		{"the next turn of what has not ended", `
			0 p sends x snoozes=1
			1 n1 starts x 0.1.1 f7
			3 n2 starts x 0.2.1 f8
			3.5 n1 ends x 0.1.1 f7 snoozed
			4 n2 ends x 0.2.1 f8 succeeded`, DoneOnce, "ran until"},
		{"the next generation after a success", `
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 succeeded
			3 n2 starts x 1.1.1 f8
			4 n2 ends x 1.1.1 f8 succeeded`, DoneOnce, "had succeeded"},
		{"the next turn after a success", `
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 succeeded
			3 n2 starts x 0.2.1 f8
			4 n2 ends x 0.2.1 f8 succeeded`, DoneOnce, "had succeeded"},
		{"a failure is tried again in place, in an unordered queue", `
			0 p sends x fails=1
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 failed
			3 n1 starts x 0.1.2 f8
			4 n1 ends x 0.1.2 f8 succeeded`, DoneOnce, "had failed"},
		{"failures are tried again in place", `
			0 p sends x fails=2 key=k
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 failed
			3 n1 starts x 0.1.2 f7
			4 n1 ends x 0.1.2 f7 failed
			5 n1 starts x 0.1.3 f7
			6 n1 ends x 0.1.3 f7 succeeded`, "", ""},
		{"a snooze in place", `
			0 p sends x snoozes=1 key=k
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 snoozed
			3 n1 starts x 0.1.1 f8
			4 n1 ends x 0.1.1 f8 succeeded`, "", ""},
	})
	proceed := rules
	proceed.Proceed = true
	try(t, proceed, []trial{
		{"nodes proceed while redis is away", repeated + `
			1.5 n breaks redis server=redis
			7 n mends redis`, "", ""},
		{"nodes proceeded later", repeated + `
			9.5 n breaks redis server=redis
			9.6 n mends redis`, DoneOnce, "had succeeded"},
	})
	window := rules
	window.Window = 5 * time.Second
	try(t, window, []trial{
		{"its window was over", repeated, "", ""},
		{"its window was not over", `
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 succeeded
			6.9 n2 starts x 0.1.1 f8
			9 n2 ends x 0.1.1 f8 succeeded`, DoneOnce, "had succeeded"},
	})
}
