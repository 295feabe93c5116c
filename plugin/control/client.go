package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/nri-netdev/nri-netdev/plugin/claim"
	"github.com/nri-netdev/nri-netdev/plugin/sandbox"
	"github.com/nri-netdev/nri-netdev/plugin/state"
)

// Client asks the plugin that runs on a state folder.
type Client struct{ http *http.Client }

// NewClient makes a client for the plugin that runs on the folder at path.
func NewClient(path string) *Client {
	return &Client{&http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", state.ControlSocket(path))
		},
	}}}
}

// NotRunning reports whether a request failed because nobody listens on the control
// socket. A process that is killed leaves the socket behind.
func NotRunning(err error) bool {
	return errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED)
}

// Status asks what is away.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	err = c.call(ctx, http.MethodGet, "status", nil, nil, &s)
	return s, err
}

// Config asks for the node config in force.
func (c *Client) Config(ctx context.Context) (f Config, err error) {
	err = c.call(ctx, http.MethodGet, "config", nil, nil, &f)
	return f, err
}

// Move asks to move a device into netns, and returns what has moved.
func (c *Client) Move(ctx context.Context, m sandbox.Move, netns *os.File) (moved string, err error) {
	err = c.call(ctx, http.MethodPost, "move", http.Header{NetnsFD: {strconv.Itoa(int(netns.Fd()))}}, m, &moved)
	return moved, err
}

// Return asks to return devices.
func (c *Client) Return(ctx context.Context, s sandbox.Selection) (r sandbox.Returned, err error) {
	err = c.call(ctx, http.MethodPost, "return", nil, s, &r)
	return r, err
}

// Inventory asks for the devices that the node offers to claims. It answers when the
// generation is another one than after, or after half a minute.
func (c *Client) Inventory(ctx context.Context, after uint64) (i claim.Inventory, err error) {
	err = c.call(ctx, http.MethodGet, "inventory?after="+strconv.FormatUint(after, 10), nil, nil, &i)
	return i, err
}

// Prepare asks to reserve the devices of a claim for its pod. It may be repeated.
func (c *Client) Prepare(ctx context.Context, asked claim.Claim) (p claim.Prepared, err error) {
	err = c.call(ctx, http.MethodPost, "claims/prepare", nil, asked, &p)
	return p, err
}

// Unprepare asks to end the reservation of a claim. It fails as long as a device of the
// claim is not home, and may be repeated.
func (c *Client) Unprepare(ctx context.Context, uid string) error {
	return c.call(ctx, http.MethodPost, "claims/unprepare", nil, claim.Unprepare{UID: uid}, &struct{}{})
}

// Claims asks what has become of the claims that are reserved. It answers when the
// generation is another one than after, or after half a minute.
func (c *Client) Claims(ctx context.Context, after uint64) (s claim.Statuses, err error) {
	err = c.call(ctx, http.MethodGet, "claims?after="+strconv.FormatUint(after, 10), nil, nil, &s)
	return s, err
}

// call sends a question as JSON, and reads the answer.
func (c *Client) call(ctx context.Context, method, verb string, header http.Header, question, answer any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://nri-netdev/"+verb, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if header != nil {
		req.Header = header
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask the running plugin: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // read to its end
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("ask the running plugin: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New(strings.TrimSpace(string(text)))
	}
	return json.Unmarshal(text, answer)
}
