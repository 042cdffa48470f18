// Renders template sources with the standard library's text/template and keeps what came out, as
// data for src/text/template's tests.
//
//	cd tools/golden/go_template_cases && go run . ../../../tests/cases/gotemplate
//
// FOLDER/data.json is the dot (JSON numbers are float64), to which a struct "Item" is added. Each
// list below becomes FOLDER/NAME.json: one case per line, [template, output], and for what Go
// refuses [template, output before the error, "parse" or "exec", line, column or 0]. A string that is
// not UTF-8 is an object {"hex": its bytes}.
package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"text/template"
	"unicode/utf8"
)

type item struct {
	Name  string   `json:"name"`
	Tags  []string `json:"tags,omitempty"`
	On    bool     `json:"on"`
	Count int      `json:"count"`
}

func toJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// Where Go says an error is: ":3:7: executing" or ":3: unexpected".
var place = regexp.MustCompile(`^template: :(\d+):(?:(\d+):)? `)

func render(source string, data any) []any {
	var out bytes.Buffer
	t, err := template.New("").Funcs(template.FuncMap{"json": toJSON}).Parse(source)
	kind := "parse"
	if err == nil {
		kind = "exec"
		err = t.Execute(&out, data)
	}
	if err == nil {
		return []any{text(source), text(out.String())}
	}
	line, column := 0, 0
	if m := place.FindStringSubmatch(err.Error()); m != nil {
		line, _ = strconv.Atoi(m[1])
		if m[2] != "" {
			column, _ = strconv.Atoi(m[2])
			column++ // Go counts from 0
		}
	}
	return []any{text(source), text(out.String()), kind, line, column}
}

func text(s string) any {
	if utf8.ValidString(s) {
		return s
	}
	return map[string]string{"hex": hex.EncodeToString([]byte(s))}
}

func encode(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return strings.TrimSpace(b.String())
}

func main() {
	folder := os.Args[1]
	raw, err := os.ReadFile(filepath.Join(folder, "data.json"))
	if err != nil {
		panic(err)
	}
	var data map[string]any
	if err := json.Unmarshal(raw, &data); err != nil {
		panic(err)
	}
	data["Item"] = item{"box <1>", []string{"a", "b"}, true, 3}
	for _, list := range lists() {
		var b strings.Builder
		fmt.Fprintf(&b, "{\"reference\": %q, \"cases\": [\n", "text/template of "+runtime.Version())
		for i, source := range list.sources {
			if i > 0 {
				b.WriteString(",\n")
			}
			b.WriteString(encode(render(source, data)))
		}
		b.WriteString("\n]}\n")
		path := filepath.Join(folder, list.name+".json")
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			panic(err)
		}
		fmt.Println(list.name, len(list.sources))
	}
}
