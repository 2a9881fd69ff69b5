package main

import (
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Tally is what one connection saw.
type Tally struct {
	good     []time.Duration
	refused  []time.Duration // 429 and 503: the server said that it has too much to do
	statuses map[int]int
	errors   map[string]int
}

func (tally *Tally) add(outcome Outcome, latency time.Duration) {
	if tally.statuses == nil {
		tally.statuses, tally.errors = map[int]int{}, map[string]int{}
	}
	if outcome.status != 0 {
		tally.statuses[outcome.status]++
	}
	if outcome.err == "" {
		tally.good = append(tally.good, latency)
		return
	}
	tally.errors[outcome.err]++
	if outcome.status == http.StatusTooManyRequests || outcome.status == http.StatusServiceUnavailable {
		tally.refused = append(tally.refused, latency)
	}
}

// Latency in milliseconds.
type Latency struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P95  float64 `json:"p95"`
	P99  float64 `json:"p99"`
	Max  float64 `json:"max"`
}

// Result is what is printed.
type Result struct {
	Connections int            `json:"connections"`
	Rate        float64        `json:"rate"`       // asked for; 0 in a closed loop
	Seconds     float64        `json:"seconds"`    // from the first request to the last answer
	Sent        int            `json:"sent"`       // requests that were begun
	Unsent      int            `json:"unsent"`     // open loop: were due, but no connection was free in time
	Good        int            `json:"good"`       // 200 with the expected text
	Throughput  float64        `json:"throughput"` // good answers a second
	Errors      map[string]int `json:"errors"`
	Statuses    map[string]int `json:"statuses"`
	Latency     *Latency       `json:"latency_ms"` // of good answers; null without any
	Refused     *Latency       `json:"refused_ms"` // of 429 and 503
}

func summary(options Options, tallies []Tally, took time.Duration) Result {
	result := Result{
		Connections: options.Connections,
		Rate:        options.Rate,
		Seconds:     took.Seconds(),
		Errors:      map[string]int{},
		Statuses:    map[string]int{},
	}
	var good, refused []time.Duration
	for _, tally := range tallies {
		good, refused = append(good, tally.good...), append(refused, tally.refused...)
		for status, count := range tally.statuses {
			result.Statuses[strconv.Itoa(status)] += count
		}
		for kind, count := range tally.errors {
			result.Errors[kind] += count
			result.Sent += count
		}
	}
	result.Good = len(good)
	result.Sent += len(good)
	result.Throughput = float64(len(good)) / took.Seconds()
	if options.Rate > 0 {
		result.Unsent = int(options.Rate*options.Seconds) - result.Sent
	}
	result.Latency, result.Refused = latencyOf(good), latencyOf(refused)
	return result
}

func latencyOf(samples []time.Duration) *Latency {
	if len(samples) == 0 {
		return nil
	}
	slices.Sort(samples)
	var sum time.Duration
	for _, sample := range samples {
		sum += sample
	}
	return &Latency{
		Mean: milliseconds(sum) / float64(len(samples)),
		P50:  milliseconds(percentile(samples, 0.50)),
		P95:  milliseconds(percentile(samples, 0.95)),
		P99:  milliseconds(percentile(samples, 0.99)),
		Max:  milliseconds(samples[len(samples)-1]),
	}
}

// percentile of sorted samples by the nearest rank: the smallest that a share of all doesn't exceed.
func percentile(sorted []time.Duration, share float64) time.Duration {
	rank := int(math.Ceil(share * float64(len(sorted))))
	return sorted[max(rank, 1)-1]
}

func milliseconds(duration time.Duration) float64 {
	return float64(duration) / float64(time.Millisecond)
}
