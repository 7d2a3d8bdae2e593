package embedded

import (
	"bufio"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// A snapshot file is one gob stream: a snapshotHeader, then snapshotKeys to its
// end.
const snapshotVersion = 1

// redisDatabases is how many databases a Redis has.
const redisDatabases = 16

type snapshotHeader struct {
	Version int
	Keys    int
}

// snapshotKey is one key with the content of its type.
type snapshotKey struct {
	Database int
	Name     string
	// Expires is zero for a key without expiry.
	Expires time.Time
	Type    string

	Text   string
	Hash   map[string]string
	Items  []string // of a list, in order, or of a set
	Scores map[string]float64
}

// saveSnapshot writes the content of a stopped server to file, whole or not at
// all, and returns how many keys it left out because of their type.
func saveSnapshot(redis *miniredis.Miniredis, file string) (skipped int, err error) {
	keys, skipped, err := readKeys(redis, time.Now())
	if err != nil {
		return 0, err
	}
	partial := file + ".partial"
	if err := writeSnapshot(partial, keys); err != nil {
		return 0, errors.Join(err, os.Remove(partial))
	}
	return skipped, os.Rename(partial, file)
}

func writeSnapshot(file string, keys []snapshotKey) (err error) {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	buffer := bufio.NewWriter(f)
	stream := gob.NewEncoder(buffer)
	if err := stream.Encode(snapshotHeader{Version: snapshotVersion, Keys: len(keys)}); err != nil {
		return err
	}
	for _, key := range keys {
		if err := stream.Encode(key); err != nil {
			return err
		}
	}
	if err := buffer.Flush(); err != nil {
		return err
	}
	return f.Sync()
}

func readKeys(redis *miniredis.Miniredis, now time.Time) (keys []snapshotKey, skipped int, err error) {
	for number := range redisDatabases {
		database := redis.DB(number)
		for _, name := range database.Keys() {
			key := snapshotKey{Database: number, Name: name, Type: database.Type(name)}
			if ttl := database.TTL(name); ttl > 0 {
				key.Expires = now.Add(ttl)
			}
			known, err := readContent(database, &key)
			if err != nil {
				return nil, 0, fmt.Errorf("read key %q: %w", name, err)
			}
			if !known {
				skipped++
				continue
			}
			keys = append(keys, key)
		}
	}
	return keys, skipped, nil
}

func readContent(database *miniredis.RedisDB, key *snapshotKey) (known bool, err error) {
	switch key.Type {
	case "string":
		key.Text, err = database.Get(key.Name)
	case "hash":
		var fields []string
		fields, err = database.HKeys(key.Name)
		key.Hash = make(map[string]string, len(fields))
		for _, field := range fields {
			key.Hash[field] = database.HGet(key.Name, field)
		}
	case "list":
		key.Items, err = database.List(key.Name)
	case "set":
		key.Items, err = database.Members(key.Name)
	case "zset":
		key.Scores, err = database.SortedSet(key.Name)
	default:
		return false, nil
	}
	return true, err
}

// loadSnapshot fills an empty server from file, if there is one. Keys that
// expired meanwhile are left out.
func loadSnapshot(redis *miniredis.Miniredis, file string) error {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read redis snapshot: %w", err)
	}
	defer f.Close()
	if err := loadKeys(redis, gob.NewDecoder(bufio.NewReader(f)), time.Now()); err != nil {
		return fmt.Errorf("read redis snapshot %s: %w; remove it to start with an empty Redis", file, err)
	}
	return nil
}

func loadKeys(redis *miniredis.Miniredis, stream *gob.Decoder, now time.Time) error {
	var header snapshotHeader
	if err := stream.Decode(&header); err != nil {
		return err
	}
	if header.Version != snapshotVersion {
		return fmt.Errorf("its version is %d, this program knows %d", header.Version, snapshotVersion)
	}
	for range header.Keys {
		var key snapshotKey
		if err := stream.Decode(&key); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		if err := loadKey(redis.DB(key.Database), key, now); err != nil {
			return fmt.Errorf("key %q: %w", key.Name, err)
		}
	}
	return nil
}

func loadKey(database *miniredis.RedisDB, key snapshotKey, now time.Time) error {
	if !key.Expires.IsZero() && !key.Expires.After(now) {
		return nil
	}
	var err error
	switch key.Type {
	case "string":
		err = database.Set(key.Name, key.Text)
	case "hash":
		for field, value := range key.Hash {
			database.HSet(key.Name, field, value)
		}
	case "list":
		_, err = database.Push(key.Name, key.Items...)
	case "set":
		_, err = database.SetAdd(key.Name, key.Items...)
	case "zset":
		for member, score := range key.Scores {
			if _, err = database.ZAdd(key.Name, score, member); err != nil {
				break
			}
		}
	default:
		err = fmt.Errorf("type %s is not known", key.Type)
	}
	if err != nil || key.Expires.IsZero() {
		return err
	}
	database.SetTTL(key.Name, key.Expires.Sub(now))
	return nil
}

// removeSnapshot removes the file, if there is one.
func removeSnapshot(file string) error {
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove redis snapshot: %w", err)
	}
	return nil
}
