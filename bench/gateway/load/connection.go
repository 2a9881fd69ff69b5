package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// sequenceMark in a body is overwritten by the request's number, zero-padded to the mark's length.
const sequenceMark = "@SEQUENCE@"

// Target is the request and what is expected of its answer.
type Target struct {
	address string
	request []byte
	head    int // bytes of the request before its body
	mark    int // where the sequence mark is in the body; -1 for nowhere
	expect  []byte
	timeout time.Duration
}

// Connection sends the target's request, reconnecting when the last answer left it unusable.
type Connection struct {
	target  *Target
	request []byte // own copy: the sequence is written into it
	socket  net.Conn
	reader  *bufio.Reader
	body    bytes.Buffer
}

func newConnection(target *Target) *Connection {
	return &Connection{target: target, request: bytes.Clone(target.request)}
}

// Outcome of one request: a status, or the kind of error that there was instead of a good answer.
type Outcome struct {
	status int
	err    string
}

// send makes one request with the number given and reads its answer whole.
func (connection *Connection) send(number int) Outcome {
	connection.write(number)
	deadline := time.Now().Add(connection.target.timeout)
	if connection.socket == nil {
		socket, err := net.DialTimeout("tcp", connection.target.address, connection.target.timeout)
		if err != nil {
			return Outcome{err: "connect"}
		}
		connection.socket, connection.reader = socket, bufio.NewReader(socket)
	}
	outcome, keep := connection.exchange(deadline)
	if !keep {
		connection.close()
	}
	return outcome
}

func (connection *Connection) write(number int) {
	if connection.target.mark < 0 {
		return
	}
	digits := fmt.Appendf(nil, "%0*d", len(sequenceMark), number)
	copy(connection.request[connection.target.head+connection.target.mark:], digits)
}

func (connection *Connection) exchange(deadline time.Time) (outcome Outcome, keep bool) {
	if err := connection.socket.SetDeadline(deadline); err != nil {
		return Outcome{err: "transport"}, false
	}
	if _, err := connection.socket.Write(connection.request); err != nil {
		return Outcome{err: kindOf(err)}, false
	}
	response, err := http.ReadResponse(connection.reader, nil)
	if err != nil {
		return Outcome{err: kindOf(err)}, false
	}
	defer response.Body.Close()
	connection.body.Reset()
	if _, err := io.Copy(&connection.body, response.Body); err != nil {
		return Outcome{err: kindOf(err)}, false
	}
	outcome.status = response.StatusCode
	if response.StatusCode != http.StatusOK {
		outcome.err = "status " + strconv.Itoa(response.StatusCode)
	} else if !bytes.Contains(connection.body.Bytes(), connection.target.expect) {
		outcome.err = "unexpected answer"
	}
	return outcome, !response.Close
}

func (connection *Connection) close() {
	if connection.socket != nil {
		connection.socket.Close()
		connection.socket = nil
	}
}

func kindOf(err error) string {
	var network net.Error
	if errors.As(err, &network) && network.Timeout() {
		return "timeout"
	}
	return "transport"
}
