package main

import (
	"sync"
	"sync/atomic"
	"time"
)

// drive sends requests as the options say and gives what came back.
func drive(options Options, target *Target) Result {
	var next atomic.Int64
	var workers sync.WaitGroup
	tallies := make([]Tally, options.Connections)
	began := time.Now()
	for i := range tallies {
		workers.Go(func() { work(options, target, began, &next, &tallies[i]) })
	}
	workers.Wait()
	return summary(options, tallies, time.Since(began))
}

// work is one connection: it takes the next number, waits until that request is due, and sends it.
func work(options Options, target *Target, began time.Time, next *atomic.Int64, tally *Tally) {
	connection := newConnection(target)
	defer connection.close()
	end := began.Add(time.Duration(options.Seconds * float64(time.Second)))
	total := options.Count
	if options.Rate > 0 {
		total = int(options.Rate * options.Seconds)
	}
	for {
		number := int(next.Add(1)) - 1
		if number >= total || time.Now().After(end) {
			return
		}
		due := time.Now()
		if options.Rate > 0 {
			due = began.Add(time.Duration(float64(number) / options.Rate * float64(time.Second)))
			time.Sleep(time.Until(due))
		}
		tally.add(connection.send(number), time.Since(due))
	}
}
