// Command load sends one HTTP request over and over to this machine and prints what came back as JSON.
//
// Closed loop (no -rate): each connection sends its next request when the last one is answered.
// Open loop (-rate R): requests are due at fixed instants, and a latency counts from the instant that its
// request was due, so that a stalled server can't hide the requests it kept from being sent.
//
// It reaches loopback addresses only, and count, time and connections are bounded.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"
)

const (
	maxConnections = 4096
	maxCount       = 5_000_000
	maxSeconds     = 1800
	maxRate        = 100_000
	usageError     = 2
)

// Options are what the command line says.
type Options struct {
	URL         string
	Headers     []string
	BodyFile    string
	Expect      string
	Connections int
	Count       int
	Rate        float64
	Seconds     float64
	Timeout     time.Duration
	Reconnect   bool
}

func main() {
	options, err := parseOptions(os.Args[1:])
	if err == nil {
		err = run(options)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(usageError)
	}
}

func run(options Options) error {
	target, err := newTarget(options)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(drive(options, target))
}

func parseOptions(arguments []string) (Options, error) {
	var options Options
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.StringVar(&options.URL, "url", "", "where to POST to; a loopback address")
	flags.Func("header", "`Name: value`, may be given several times", func(value string) error {
		if !strings.Contains(value, ": ") || strings.ContainsAny(value, "\r\n") {
			return fmt.Errorf("%q is not \"Name: value\"", value)
		}
		options.Headers = append(options.Headers, value)
		return nil
	})
	flags.StringVar(&options.BodyFile, "body", "", "file with the body; "+sequenceMark+" in it becomes a number")
	flags.StringVar(&options.Expect, "expect", "", "text that a good answer contains")
	flags.IntVar(&options.Connections, "connections", 1, "connections, kept open")
	flags.IntVar(&options.Count, "count", maxCount, "closed loop: requests at most")
	flags.Float64Var(&options.Rate, "rate", 0, "open loop: requests a second")
	flags.Float64Var(&options.Seconds, "seconds", 60, "for how long requests are sent, at most")
	flags.DurationVar(&options.Timeout, "timeout", 10*time.Second, "for one answer")
	flags.BoolVar(&options.Reconnect, "reconnect", false, "a new connection for every request")
	if err := flags.Parse(arguments); err != nil {
		return options, err
	}
	return options, options.check()
}

func (options Options) check() error {
	switch {
	case options.Connections < 1 || options.Connections > maxConnections:
		return fmt.Errorf("-connections must be 1 to %d", maxConnections)
	case options.Count < 1 || options.Count > maxCount:
		return fmt.Errorf("-count must be 1 to %d", maxCount)
	case options.Rate < 0 || options.Rate > maxRate:
		return fmt.Errorf("-rate must be 0 to %d", maxRate)
	case options.Seconds <= 0 || options.Seconds > maxSeconds:
		return fmt.Errorf("-seconds must be above 0 and at most %d", maxSeconds)
	case options.Rate*options.Seconds > maxCount:
		return fmt.Errorf("-rate times -seconds must be at most %d", maxCount)
	case options.Timeout <= 0:
		return fmt.Errorf("-timeout must be above 0")
	}
	return nil
}

// newTarget makes the request's bytes; the address must be this machine's own.
func newTarget(options Options) (*Target, error) {
	parsed, err := url.Parse(options.URL)
	if err != nil || parsed.Scheme != "http" || parsed.Port() == "" {
		return nil, fmt.Errorf("-url %q is not http://ADDRESS:PORT/PATH", options.URL)
	}
	address := net.ParseIP(parsed.Hostname())
	if address == nil || !address.IsLoopback() {
		return nil, fmt.Errorf("-url %q is not on a loopback address; load is for this machine only", options.URL)
	}
	var body []byte
	if options.BodyFile != "" {
		if body, err = os.ReadFile(options.BodyFile); err != nil {
			return nil, err
		}
	}
	var head bytes.Buffer
	fmt.Fprintf(&head, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", parsed.RequestURI(), parsed.Host, len(body))
	for _, header := range options.Headers {
		head.WriteString(header + "\r\n")
	}
	if options.Reconnect {
		head.WriteString("Connection: close\r\n")
	}
	head.WriteString("\r\n")
	return &Target{
		address: parsed.Host,
		request: append(head.Bytes(), body...),
		mark:    bytes.Index(body, []byte(sequenceMark)),
		head:    head.Len(),
		expect:  []byte(options.Expect),
		timeout: options.Timeout,
	}, nil
}
