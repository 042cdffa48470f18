// Prints tests/cases/json/errors.json: what Go's encoding/json says of texts that are no JSON, so that
// Cria's errors have the words that clients know. Run: go run tools/golden/go_json_errors/main.go
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

var texts = []string{
	"x", "tru x", "trux", "nul", `{"a":}`, `{"a" 1}`, `{a:1}`, `{"a":1 "b":2}`, `{"a":1,}`, "[1 2]", "[1,]",
	"[", "{", `{"a"`, `{"a":`, `"abc`, "\"a\nb\"", `"\q"`, `"\u12g4"`, "-", "-x", "01", "1.", "1.x", "1e", "1e+",
	"1ex", "'a'", "\x01", "[1]]", "{} x", `"\u12`, `fals"`, `{"a":1}}`, "+1", ".5", "NaN", "Infinity",
	"[\"a\",\t\x02]", "{\"k\":\"\t\"}", "[-]", "nulL", "{1:2}", "[}", "{]", "\x7f", "é",
}

// The server reads the first value of a body as a stream; what follows a value only Unmarshal refuses.
func errorOf(text string) string {
	var value any
	err := json.NewDecoder(strings.NewReader(text)).Decode(&value)
	if err == nil {
		err = json.Unmarshal([]byte(text), &value)
	}
	if err == nil {
		panic(text)
	}
	if err == io.ErrUnexpectedEOF {
		return "unexpected EOF"
	}
	return err.Error()
}

func main() {
	fmt.Println("[")
	for i, text := range texts {
		row, _ := json.Marshal(map[string]string{"text": text, "error": errorOf(text)})
		comma := ","
		if i == len(texts)-1 {
			comma = ""
		}
		fmt.Printf("%s%s\n", row, comma)
	}
	fmt.Println("]")
}
