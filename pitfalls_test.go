package tasktier

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	pitfallsPage = "docs/pitfalls.md"
	pitfalls     = 75 // entries of the page
)

var (
	pitfallEntry    = regexp.MustCompile(`<a id="(\d+)"></a>\*\*(\d+)\. `)
	pitfallTest     = regexp.MustCompile("`([a-z/]+\\.Test\\w+)`")
	pitfallCitation = regexp.MustCompile(`Pitfalls? (\d+(?:(?:, | and )\d+)*) of docs/pitfalls\.md\.`)
	number          = regexp.MustCompile(`\d+`)
)

// The catalogue of pitfalls has each of its numbers once, in order, and lists under a number exactly the tests whose
// comments cite it. So a test that is renamed or removed, and a citation without an entry, is an error here.
func TestPitfallsPage(t *testing.T) {
	numbers, listed := pitfallsListed(t)
	if len(numbers) != pitfalls {
		t.Errorf("%s has %d entries, want %d", pitfallsPage, len(numbers), pitfalls)
	}
	for i, n := range numbers {
		if want := strconv.Itoa(i + 1); n != want {
			t.Fatalf("entry %s of %s is where %s should be", n, pitfallsPage, want)
		}
	}
	tests, cited := pitfallsCited(t)
	for _, l := range sorted(listed) {
		if !tests[l.test] {
			t.Errorf("%s lists %s under %s, and there is no such test", pitfallsPage, l.test, l.number)
		} else if !cited[l] {
			t.Errorf("%s lists %s under %s, and the test's comment does not cite that", pitfallsPage, l.test, l.number)
		}
	}
	for _, l := range sorted(cited) {
		if !listed[l] {
			t.Errorf("%s cites pitfall %s, and %s does not list it there", l.test, l.number, pitfallsPage)
		}
	}
}

// A pitfallLink connects an entry of the page with a test, such as consumer.TestCloseWithoutRun.
type pitfallLink struct{ number, test string }

// pitfallsListed returns the numbers of the page's entries, in their order, and the tests that the page lists.
func pitfallsListed(t *testing.T) (numbers []string, listed map[pitfallLink]bool) {
	t.Helper()
	data, err := os.ReadFile(pitfallsPage)
	if err != nil {
		t.Fatal(err)
	}
	page := string(data)
	listed = make(map[pitfallLink]bool)
	entries := pitfallEntry.FindAllStringSubmatchIndex(page, -1)
	for i, at := range entries {
		end := len(page)
		if i+1 < len(entries) {
			end = entries[i+1][0]
		}
		anchor, title := page[at[2]:at[3]], page[at[4]:at[5]]
		if anchor != title {
			t.Errorf("%s: entry %s has the anchor %s", pitfallsPage, title, anchor)
		}
		numbers = append(numbers, title)
		for _, test := range pitfallTest.FindAllStringSubmatch(page[at[0]:end], -1) {
			listed[pitfallLink{title, test[1]}] = true
		}
	}
	return numbers, listed
}

// pitfallsCited returns all tests of the repository and the pitfalls that their comments cite.
func pitfallsCited(t *testing.T) (tests map[string]bool, cited map[pitfallLink]bool) {
	t.Helper()
	tests, cited = make(map[string]bool), make(map[pitfallLink]bool)
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && path != "." && strings.HasPrefix(entry.Name(), ".") && entry.IsDir() {
			return fs.SkipDir
		}
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		folder := filepath.ToSlash(filepath.Dir(path))
		if folder == "." {
			folder = "tasktier"
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || !strings.HasPrefix(f.Name.Name, "Test") {
				continue
			}
			test := folder + "." + f.Name.Name
			tests[test] = true
			comment := strings.Join(strings.Fields(f.Doc.Text()), " ")
			citations := pitfallCitation.FindAllStringSubmatch(comment, -1)
			if len(citations) != strings.Count(comment, pitfallsPage) {
				t.Errorf("%s: the comment does not cite pitfalls in the form %q", test, "Pitfalls 1, 2 and 3 of "+pitfallsPage+".")
			}
			for _, c := range citations {
				for _, n := range number.FindAllString(c[1], -1) {
					cited[pitfallLink{n, test}] = true
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests, cited
}

func sorted(links map[pitfallLink]bool) []pitfallLink {
	return slices.SortedFunc(maps.Keys(links), func(a, b pitfallLink) int {
		return strings.Compare(a.test+" "+a.number, b.test+" "+b.number)
	})
}
