// Probe is the program inside the pods of the cluster's tests: a small web server, and the commands that a test
// runs in a pod. One static file, so an image needs nothing else.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	commands := map[string]func(string) (string, error){"serve": serve, "get": get, "resolve": resolve, "read": read}
	if len(os.Args) != 3 || commands[os.Args[1]] == nil {
		fail(fmt.Errorf("usage: probe serve DIRECTORY | get URL | resolve NAME | read FILE"))
	}
	answer, err := commands[os.Args[1]](os.Args[2])
	if err != nil {
		fail(err)
	}
	fmt.Println(strings.TrimSpace(answer))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// serve counts its starts in a file of the directory, and serves the directory on port 8080 until it is terminated.
func serve(directory string) (string, error) {
	file, err := os.OpenFile(directory+"/starts", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return "", err
	}
	if _, err := file.WriteString("x"); err != nil {
		return "", err
	}
	if err := file.Close(); err != nil {
		return "", err
	}
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	go func() { fail(http.ListenAndServe(":8080", http.FileServer(http.Dir(directory)))) }()
	fmt.Println("serving", directory)
	<-terminated
	return "terminated", nil
}

func get(url string) (string, error) {
	client := http.Client{Timeout: 3 * time.Second}
	response, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

func resolve(name string) (string, error) {
	addresses, err := net.LookupHost(name)
	return strings.Join(addresses, " "), err
}

func read(path string) (string, error) {
	content, err := os.ReadFile(path)
	return string(content), err
}
