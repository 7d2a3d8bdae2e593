package inmemory

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"strconv"
	"sync"

	"github.com/alicebob/miniredis/v2/server"
	lua "github.com/yuin/gopher-lua"
)

// hook runs scripts, and leaves all other commands to miniredis.
func (r *Redis) hook(c *server.Peer, cmd string, args ...string) bool {
	if text := r.refusal.Load(); text != nil && *text != "" {
		c.WriteError(*text)
		return true
	}
	if cmd != "EVALSHA" && cmd != "EVAL" {
		return false
	}
	r.scripts.Lock()
	defer r.scripts.Unlock()
	source, known := r.loaded[args[0]]
	if cmd == "EVAL" {
		source = args[0]
		sum := sha1.Sum([]byte(source))
		r.loaded[hex.EncodeToString(sum[:])] = source
	} else if !known {
		c.WriteError("NOSCRIPT No matching script. Please use EVAL.")
		return true
	}
	keys, err := strconv.Atoi(args[1])
	if err != nil || keys < 0 || keys > len(args)-2 {
		c.WriteError("ERR wrong number of keys")
		return true
	}
	s := takeInterpreter(source)
	defer s.putBack()
	answer, err := s.run(r.Server(), args[2:2+keys], args[2+keys:])
	if err != nil {
		c.WriteError("ERR " + err.Error())
		return true
	}
	reply(c, answer)
	return true
}

// An interpreter has one script, compiled.
type interpreter struct {
	source string
	state  *lua.LState
	script *lua.LFunction
	server *server.Server // of the current run
}

// free has the interpreters that are not in use, by script. It is not a sync.Pool, which drops one in four under the race
// detector: making an interpreter takes much longer than a call.
var free = struct {
	sync.Mutex
	interpreters map[string][]*interpreter
}{interpreters: make(map[string][]*interpreter)}

func takeInterpreter(source string) *interpreter {
	free.Lock()
	defer free.Unlock()
	all := free.interpreters[source]
	if len(all) == 0 {
		return newInterpreter(source)
	}
	free.interpreters[source] = all[:len(all)-1]
	return all[len(all)-1]
}

func (s *interpreter) putBack() {
	free.Lock()
	defer free.Unlock()
	free.interpreters[s.source] = append(free.interpreters[s.source], s)
}

func newInterpreter(source string) *interpreter {
	s := &interpreter{source: source, state: lua.NewState()}
	script, err := s.state.LoadString(source)
	if err != nil {
		panic(err) // a script of tasktier, which compiles
	}
	s.script = script
	redis := s.state.NewTable()
	redis.RawSetString("call", s.state.NewFunction(s.call))
	s.state.SetGlobal("redis", redis)
	return s
}

func (s *interpreter) run(on *server.Server, keys, args []string) (lua.LValue, error) {
	s.server = on
	for name, values := range map[string][]string{"KEYS": keys, "ARGV": args} {
		table := s.state.CreateTable(len(values), 0)
		for _, v := range values {
			table.Append(lua.LString(v))
		}
		s.state.SetGlobal(name, table)
	}
	if err := s.state.CallByParam(lua.P{Fn: s.script, NRet: 1, Protect: true}); err != nil {
		return nil, err
	}
	answer := s.state.Get(-1)
	s.state.SetTop(0)
	return answer, nil
}

// call is redis.call.
func (s *interpreter) call(l *lua.LState) int {
	args := make([]string, l.GetTop())
	for i := range args {
		args[i] = l.CheckString(i + 1)
	}
	var buf bytes.Buffer
	w := bufio.NewWriter(&buf)
	s.server.Dispatch(server.NewPeer(w), args)
	if err := w.Flush(); err != nil {
		l.RaiseError("%v", err)
	}
	answer, err := server.ParseReply(bufio.NewReader(&buf))
	if err != nil {
		l.RaiseError("%v", err)
	}
	l.Push(toLua(l, answer))
	return 1
}

func toLua(l *lua.LState, v any) lua.LValue {
	switch v := v.(type) {
	case nil:
		return lua.LFalse
	case int:
		return lua.LNumber(v)
	case int64:
		return lua.LNumber(v)
	case string:
		return lua.LString(v)
	case []byte:
		return lua.LString(v)
	case server.Simple:
		t := l.NewTable()
		t.RawSetString("ok", lua.LString(v))
		return t
	case []any:
		t := l.CreateTable(len(v), 0)
		for i, e := range v {
			t.RawSetInt(i+1, toLua(l, e))
		}
		return t
	default:
		panic(fmt.Sprintf("redis.call answered %T", v))
	}
}

// reply writes the answer of a script.
func reply(c *server.Peer, v lua.LValue) {
	switch v := v.(type) {
	case lua.LNumber:
		c.WriteInt(int(v))
	case lua.LString:
		c.WriteBulk(string(v))
	case *lua.LTable:
		c.WriteLen(v.Len())
		for i := range v.Len() {
			reply(c, v.RawGetInt(i+1))
		}
	default:
		if v == lua.LTrue {
			c.WriteInt(1)
			return
		}
		c.WriteNull()
	}
}
