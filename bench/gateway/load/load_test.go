package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestPercentileIsTheNearestRank(t *testing.T) {
	sorted := make([]time.Duration, 100)
	for i := range sorted {
		sorted[i] = time.Duration(i + 1)
	}
	for share, want := range map[float64]time.Duration{0.5: 50, 0.95: 95, 0.99: 99, 1: 100, 0: 1} {
		if got := percentile(sorted, share); got != want {
			t.Errorf("percentile %v is %v, not %v", share, got, want)
		}
	}
	if got := percentile(sorted[:1], 0.5); got != 1 {
		t.Errorf("of one sample it is %v", got)
	}
}

func TestOnlyThisMachineIsReached(t *testing.T) {
	for _, address := range []string{"http://192.0.2.1:80/", "http://example.com:80/", "https://127.0.0.1:1/", "http://127.0.0.1/"} {
		if _, err := newTarget(Options{URL: address}); err == nil {
			t.Errorf("%s was accepted", address)
		}
	}
}

func TestBoundsAreHeld(t *testing.T) {
	for _, line := range []string{"-connections 0", "-connections 5000", "-seconds 0", "-seconds 9999", "-rate 100000 -seconds 60", "-count 0", "-header x"} {
		if _, err := parseOptions(strings.Fields(line)); err == nil {
			t.Errorf("%s was accepted", line)
		}
	}
}

// serve answers with a handler; it gives the options of a run against it.
func serve(t *testing.T, body string, handler http.HandlerFunc) Options {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(file, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	return Options{URL: server.URL + "/mcp", BodyFile: file, Connections: 4, Count: maxCount, Seconds: 5, Timeout: time.Second}
}

func driven(t *testing.T, options Options) Result {
	t.Helper()
	target, err := newTarget(options)
	if err != nil {
		t.Fatal(err)
	}
	return drive(options, target)
}

func TestAClosedLoopSendsEachNumberOnce(t *testing.T) {
	var mutex sync.Mutex
	seen := map[string]int{}
	options := serve(t, "n=@SEQUENCE@;", func(writer http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		mutex.Lock()
		seen[string(body)]++
		mutex.Unlock()
		writer.Write(body)
	})
	options.Count, options.Expect = 100, "n=00000000"
	result := driven(t, options)
	if result.Good != 100 || result.Sent != 100 || len(seen) != 100 || seen["n=0000000042;"] != 1 {
		t.Errorf("%+v, %d different bodies", result, len(seen))
	}
	if result.Latency == nil || result.Latency.P50 > result.Latency.P99 || result.Throughput <= 0 {
		t.Errorf("latency %+v, throughput %v", result.Latency, result.Throughput)
	}
}

func TestAnOpenLoopCountsLatencyFromWhenARequestWasDue(t *testing.T) {
	options := serve(t, "", func(http.ResponseWriter, *http.Request) { time.Sleep(50 * time.Millisecond) })
	options.Connections, options.Rate, options.Seconds = 1, 100, 0.5
	result := driven(t, options)
	if result.Latency.Max < 200 {
		t.Errorf("requests waited for the only connection, but the slowest took %v ms", result.Latency.Max)
	}
	if result.Sent+result.Unsent != 50 || result.Unsent < 20 {
		t.Errorf("%d sent and %d unsent of 50", result.Sent, result.Unsent)
	}
}

func TestFailuresAreToldApart(t *testing.T) {
	var mutex sync.Mutex
	requests := 0
	options := serve(t, "", func(writer http.ResponseWriter, _ *http.Request) {
		mutex.Lock()
		defer mutex.Unlock()
		requests++
		switch requests % 4 {
		case 0:
			writer.WriteHeader(http.StatusServiceUnavailable)
		case 1:
			fmt.Fprint(writer, "good")
		case 2:
			fmt.Fprint(writer, "bad")
		case 3:
			panic(http.ErrAbortHandler)
		}
	})
	options.Count, options.Expect = 40, "good"
	result := driven(t, options)
	want := map[string]int{"status 503": 10, "unexpected answer": 10, "transport": 10}
	for kind, count := range want {
		if result.Errors[kind] != count {
			t.Errorf("%q %d times, not %d", kind, result.Errors[kind], count)
		}
	}
	if result.Good != 10 || result.Sent != 40 || result.Refused == nil {
		t.Errorf("%+v", result)
	}
}

func TestASilentServerTimesOut(t *testing.T) {
	options := serve(t, "", func(_ http.ResponseWriter, request *http.Request) { <-request.Context().Done() })
	options.Count, options.Timeout = 4, 50*time.Millisecond
	if result := driven(t, options); result.Errors["timeout"] != 4 {
		t.Errorf("%+v", result.Errors)
	}
}
