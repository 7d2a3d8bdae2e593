package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// parseConfig reads a file's content over the defaults. The reader below walks the syntax tree itself: so each problem
// has its line and its whole key, all problems come at once, and keys with dots stay in one piece.
func parseConfig(path string, data []byte) (Config, problems) {
	cfg := Config{}
	cfg.setDefaults()
	r := reader{path: path, origin: map[string]string{}}

	if !utf8.Valid(data) {
		return Config{}, problems{{Where: path, Message: "not valid UTF-8: this is no config file"}}
	}
	file, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey()) // doubled keys are ours to name
	if err != nil {
		r.syntax(err)
		return Config{}, r.problems
	}
	var body ast.Node
	for _, doc := range file.Docs {
		switch {
		case doc.Body == nil:
		case body == nil:
			body = doc.Body
		default:
			r.problem(doc.Body, "", "a second document (---): a config is one")
		}
	}
	if body != nil {
		r.plainOnly(body)
	}
	if body != nil && len(r.problems) == 0 {
		r.read(reflect.ValueOf(&cfg).Elem(), body, "")
	}
	cfg.origin = r.origin
	return cfg, r.problems
}

type reader struct {
	path     string
	origin   map[string]string
	problems problems
}

func (r *reader) at(n ast.Node) string {
	if n == nil || n.GetToken() == nil {
		return r.path
	}
	return fmt.Sprintf("%s:%d", r.path, n.GetToken().Position.Line)
}

func (r *reader) problem(n ast.Node, key, format string, args ...any) {
	r.problems = append(r.problems, Problem{r.at(n), key, fmt.Sprintf(format, args...)})
}

// syntax reports the parser's error without the excerpt of the file that it draws.
func (r *reader) syntax(err error) {
	p := Problem{Where: r.path, Message: err.Error()}
	if e, ok := err.(yaml.Error); ok { //nolint:errorlint // the parser returns it unwrapped
		p.Message = e.GetMessage()
		if t := e.GetToken(); t != nil && t.Position != nil {
			p.Where = fmt.Sprintf("%s:%d", r.path, t.Position.Line)
		}
	}
	r.problems = append(r.problems, p)
}

// plainOnly refuses the parts of YAML by which a value may come from elsewhere than where it is read: a config should
// say what it says in place.
func (r *reader) plainOnly(body ast.Node) {
	for _, c := range []struct {
		kind ast.NodeType
		what string
	}{
		{ast.AnchorType, "anchors (&name)"}, {ast.AliasType, "aliases (*name)"}, {ast.MergeKeyType, "merge keys (<<)"},
		{ast.TagType, "tags (!name)"}, {ast.DirectiveType, "directives (%NAME)"}, {ast.MappingKeyType, "keys after ?"},
	} {
		if found := ast.Filter(c.kind, body); len(found) > 0 {
			r.problem(found[0], "", "%s are not taken here: write the value itself", c.what)
		}
	}
}

// read sets v from n, whose key is known as key.
func (r *reader) read(v reflect.Value, n ast.Node, key string) {
	if _, null := n.(*ast.NullNode); null || n == nil {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(newValue(v.Type().Elem()).Addr())
		}
		r.read(v.Elem(), n, key)
	case reflect.Struct:
		r.object(v, n, key)
	case reflect.Map:
		r.named(v, n, key)
	case reflect.Slice:
		r.list(v, n, key)
	case reflect.Interface:
		if err := readAny(v, n); err != nil {
			r.problem(n, key, "%v", err)
		}
	default:
		s, ok := scalar(n)
		if !ok {
			r.problem(n, key, "a single value is wanted here, not a %s", kindOf(n))
			return
		}
		if err := setScalar(v, s); err != nil {
			r.problem(n, key, "%v", err)
		}
	}
}

func (r *reader) object(v reflect.Value, n ast.Node, key string) {
	known := fields(v.Type())
	r.each(n, key, func(name string, k, value ast.Node, key string) {
		i, ok := known.index[name]
		if !ok {
			r.problem(k, key, "unknown key%s", didYouMean(name, known.names))
			return
		}
		r.read(v.Field(i), value, key)
	})
}

// named reads a map whose keys the user chooses. It replaces what the defaults held. A name without a value is still an
// entry, with its defaults.
func (r *reader) named(v reflect.Value, n ast.Node, key string) {
	v.Set(reflect.MakeMap(v.Type()))
	r.each(n, key, func(name string, _, value ast.Node, key string) {
		elem := newValue(v.Type().Elem())
		r.read(elem, value, key)
		v.SetMapIndex(reflect.ValueOf(name), elem)
	})
}

// each calls read for the entries of a mapping, once for each key.
func (r *reader) each(n ast.Node, key string, read func(name string, k, value ast.Node, key string)) {
	mapping, ok := n.(ast.MapNode)
	if !ok {
		r.problem(n, key, "keys and values are wanted here, not a %s", kindOf(n))
		return
	}
	first := map[string]ast.Node{}
	for it := mapping.MapRange(); it.Next(); {
		name := it.Key().GetToken().Value
		full := join(key, name)
		if f, doubled := first[name]; doubled {
			r.problem(it.Key(), full, "doubled key: it is at line %d already", f.GetToken().Position.Line)
			continue
		}
		first[name] = it.Key()
		r.origin[full] = r.at(it.Key())
		read(name, it.Key(), it.Value(), full)
	}
}

func (r *reader) list(v reflect.Value, n ast.Node, key string) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		r.problem(n, key, "a list is wanted here, as in [a, b], not a %s", kindOf(n))
		return
	}
	list := reflect.MakeSlice(v.Type(), len(seq.Values), len(seq.Values))
	for i, n := range seq.Values {
		r.read(list.Index(i), n, fmt.Sprintf("%s[%d]", key, i))
	}
	v.Set(list)
}

// readAny reads free data, which must be expressible in JSON.
func readAny(v reflect.Value, n ast.Node) error {
	if err := yaml.NodeToValue(n, v.Addr().Interface()); err != nil {
		line, _, _ := strings.Cut(err.Error(), "\n")
		return fmt.Errorf("not readable: %s", line)
	}
	if _, err := json.Marshal(v.Interface()); err != nil {
		return fmt.Errorf("not expressible in JSON: %w", err)
	}
	return nil
}

// scalar is the text of a single value.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	case *ast.MappingNode:
		if len(n.Values) == 1 {
			return colonInFlow(n.Values[0])
		}
	case *ast.MappingValueNode:
		return colonInFlow(n)
	}
	return "", false
}

// colonInFlow puts a text together again that the parser takes apart: in {brokers: [kafka:9092]} it reads the element
// as the mapping {kafka: 9092}, though YAML asks for a space after the colon (goccy/go-yaml#832).
func colonInFlow(n *ast.MappingValueNode) (string, bool) {
	left := n.Key.GetToken()
	right, ok := scalar(n.Value)
	if !ok || n.Start == nil {
		return "", false
	}
	colon, after := n.Start.Position, n.Value.GetToken().Position
	adjacent := left.Position.Line == colon.Line && after.Line == colon.Line &&
		left.Position.Column+len([]rune(left.Value)) == colon.Column && after.Column == colon.Column+1
	return left.Value + ":" + right, adjacent
}

func kindOf(n ast.Node) string {
	switch n.(type) {
	case ast.MapNode:
		return "mapping"
	case *ast.SequenceNode:
		return "list"
	}
	return "single value"
}

func didYouMean(name string, known []string) string {
	if s := suggest(name, known); s != "" {
		return fmt.Sprintf(" (did you mean %q?)", s)
	}
	return "; known here: " + strings.Join(known, ", ")
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}
