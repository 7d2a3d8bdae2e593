package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/tasktier/tasktier/deadletter"
)

var (
	errNoEditor  = errors.New("edit the payload: neither VISUAL nor EDITOR says which editor to use")
	errUnchanged = errors.New("edit the payload: it was left as it was; nothing was replayed")
	errEmptied   = errors.New("edit the payload: it was left empty; nothing was replayed")
	errNotText   = errors.New("edit the payload: it is not text, which an editor might spoil; nothing was replayed")
)

// editLetter has the user edit a letter's payload.
func (c *cli) editLetter(l *deadletter.Letter) ([]byte, error) {
	editor := os.Getenv("VISUAL")
	if editor == "" {
		editor = os.Getenv("EDITOR")
	}
	if editor == "" {
		return nil, errNoEditor
	}
	payload := l.Task.Payload
	if !utf8.Valid(payload) || bytes.ContainsRune(payload, 0) {
		return nil, errNotText
	}
	isJSON := jsonPayload(l.Task.ContentType, payload)
	dir, err := os.MkdirTemp("", "tasktier-edit-") // for nobody else to read
	if err != nil {
		return nil, fmt.Errorf("edit the payload: %w", err)
	}
	name := "payload.txt"
	if isJSON {
		name = "payload.json"
	}
	path := filepath.Join(dir, name)
	text, err := c.edit(editor, path, payload)
	switch {
	case err != nil:
	case bytes.Equal(text, payload):
		err = errUnchanged
	case len(text) == 0:
		err = errEmptied
	case isJSON && !json.Valid(text):
		return nil, fmt.Errorf("edit the payload: it is not JSON any more: %w; nothing was replayed, and your text is in %s", jsonError(text), path)
	}
	if removed := os.RemoveAll(dir); err == nil && removed != nil {
		err = fmt.Errorf("edit the payload: %w", removed)
	}
	return text, err
}

// edit runs the editor on a file with a text and returns what is in the file then. The newline that editors end a file
// with is not part of a text that had none.
func (c *cli) edit(editor, path string, text []byte) ([]byte, error) {
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return nil, fmt.Errorf("edit the payload: %w", err)
	}
	// The variable may hold arguments, as a shell would read them. What the editor shows is not this command's data.
	cmd := exec.Command("sh", "-c", editor+` "$1"`, "sh", path) //nolint:noctx // an editor ends when its user says so
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.stdin, c.stderr, c.stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("edit the payload with %s: %w; nothing was replayed", editor, err)
	}
	edited, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("edit the payload: %w", err)
	}
	if !bytes.HasSuffix(text, []byte("\n")) {
		edited = bytes.TrimSuffix(edited, []byte("\n"))
	}
	return edited, nil
}

// jsonPayload says whether a payload is to be JSON: its media type says so, or says nothing while it is.
func jsonPayload(contentType string, payload []byte) bool {
	media, _, err := mime.ParseMediaType(contentType)
	if contentType == "" || err != nil {
		return json.Valid(payload)
	}
	return media == "application/json" || strings.HasSuffix(media, "+json")
}
