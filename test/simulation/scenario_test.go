package simulation

import "time"

// A scenario is what is drawn for a simulation as a whole.
type scenario struct {
	sharedGroups   bool          // processes are members of the same groups; else each has its own
	prefixes       []string      // of processes
	brokers        int           // how many Kafka has
	redisFaultRate float64       // how often connections to Redis fail; 0: never
	redisFlush     bool          // Redis may lose its data
	smallForwarder bool          // forwarders have little memory
	taskCount      int           // how many tasks there are
	duration       time.Duration // how long events happen
	weights        map[event]int // how likely events are
}

// draw draws a scenario.
func (m *simulation) draw() scenario {
	rng := m.random("world", 0)
	s := scenario{
		sharedGroups:   synctests && rng.IntN(3) > 0,
		prefixes:       []string{"red", "green", "blue"},
		brokers:        1 + max(0, rng.IntN(4)-2),
		redisFaultRate: []float64{0, 1, 1, 3}[rng.IntN(4)],
		redisFlush:     m.seed%4 == 2,
		smallForwarder: rng.IntN(4) == 0,
		taskCount:      6 + rng.IntN(10),
		duration:       4*time.Second + time.Duration(rng.IntN(9))*time.Second,
		weights:        make(map[event]int),
	}
	for e := range event(eventCount) {
		// Some are 0, so that simulations differ in more than the order of events.
		s.weights[e] = []int{0, 1, 1, 1, 4}[rng.IntN(5)]
	}
	if !s.redisFlush {
		s.weights[flushRedis] = 0
	}
	if rng.IntN(4) == 0 { // then nothing excuses a record that is written twice, or late
		for _, e := range []event{killProcess, cutKafka, failKafka, slowKafka, moveKafka} {
			s.weights[e] = 0
		}
	}
	if !synctests { // nothing may wait for a group
		s.brokers, s.weights[cutKafka], s.weights[moveKafka] = 1, 0, 0
	}
	return s
}
