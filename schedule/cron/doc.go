// Package cron says at which instants a schedule ticks. It knows no clock: every answer follows from its arguments.
//
// # Expressions
//
//	minute hour day-of-month month day-of-week     five fields, as in crontab; with six the first one is seconds
//	@hourly @daily @weekly @monthly @yearly        and @midnight, @annually
//	@every DURATION                                whole seconds, as in @every 90s
//
// The first two are read by github.com/robfig/cron. Its days of the week are 0 to 6, Sunday being 0, or sun to sat. A zone
// is named beside the expression, not in it.
//
// @every counts from the beginning of 1970 (UTC) and not from when a process started, so that all processes, whenever they
// read it, mean the same instants: "@every 10m" ticks at 0, 10, 20 … minutes past each hour.
//
// # When clocks are changed
//
// The fields are compared with the local time of the zone, at every second there is. So a local time that a day does not
// have is left out on that day, and one that it has twice ticks twice, at two instants that are an hour apart. In
// Europe/Berlin "30 2 * * *" does not tick on the last Sunday of March, where 3:00 follows 1:59, and ticks twice on the last
// one of October, where 2:00 follows 2:59 for once. "@hourly" and "*/15 * * * *" tick on evenly through both. Who wants one
// tick a day, every day, keeps out of the hours around a change, or uses UTC. The few zones that change at midnight lack a
// midnight: "@daily" in America/Santiago leaves a day out.
//
// @every and UTC know no such days.
package cron
