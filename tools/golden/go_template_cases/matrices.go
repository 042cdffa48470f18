package main

import (
	"fmt"
	"strings"
)

// Cases that are every combination of a few things.

// One operand of every kind.
var operands = []string{".T", ".Off", ".N", ".Nope", "0", "1", "-7", "0.0", "1.5", "`x`", "``", ".S", ".One", ".L", ".EL", ".M", ".EM", ".Item", "nil", "'a'"}

func comparisons() (out []string) {
	some := []string{".T", "false", ".N", ".Nope", "nil", "1", "2", "1.5", ".One", ".F", "`x`", "`y`", ".L", ".M", ".Item"}
	for _, f := range []string{"eq", "ne", "lt", "le", "gt", "ge"} {
		for _, a := range some {
			for _, b := range some {
				out = append(out, fmt.Sprintf("{{%s %s %s}}", f, a, b))
			}
		}
	}
	return append(out, "{{eq}}", "{{eq 1}}", "{{eq 1 2 1}}", "{{eq 1 2 3}}", "{{eq 1 1 `x`}}", "{{eq 1 `x` 1}}", "{{1 | eq 1}}",
		"{{ne 1}}", "{{ne 1 2 3}}", "{{lt 1}}", "{{lt 1 2 3}}", "{{`b` | lt `a`}}", "{{eq .L .L}}", "{{eq .N nil}}", "{{eq .S \"héllo 世界\"}}",
		"{{eq .L nil}}", "{{eq nil nil}}", "{{eq .Item .Item}}", "{{eq 97 'a'}}", "{{eq .One .T}}", "{{le 2 1}}{{le 1 2}}{{le 1 1}}", "{{ge 1.5 1.5}}")
}

func truth() (out []string) {
	for _, a := range operands {
		out = append(out, fmt.Sprintf("{{if %s}}yes{{else}}no{{end}}", a), fmt.Sprintf("{{with %s}}[{{.}}]{{else}}no{{end}}", a),
			fmt.Sprintf("{{not %s}}", a), fmt.Sprintf("{{and %s 9}}|{{or %s 9}}", a, a), fmt.Sprintf("{{and 9 %s}}|{{or 0 %s}}", a, a),
			fmt.Sprintf("{{%s | not}}", a), fmt.Sprintf("{{%s | and 1}}|{{%s | or 0}}", a, a))
	}
	return append(out, "{{and}}", "{{or}}", "{{not}}", "{{not 1 2}}", "{{and 1}}", "{{or 0}}", "{{and 1 2 3}}", "{{and 1 0 3}}", "{{or 0 `` 3}}", "{{or 0 `` .N}}",
		"{{and 0 (index .L 9)}}", "{{or 1 (index .L 9)}}", "{{and 1 (index .L 9)}}", "{{or 0 (len nil)}}", "{{1 | or 0 | and 2}}", "{{and .T (or .Off .S)}}",
		"{{and false .Nope.Deep.X}}", "{{or true nosuch}}", "{{(and .T .M).a}}", "{{(or .N .M).k}}", "{{1 | or 1 (index .L 9)}}", "{{(index .L 9) | or 1}}")
}

func accesses() (out []string) {
	for _, a := range operands {
		out = append(out, fmt.Sprintf("{{len %s}}", a), fmt.Sprintf("{{index %s 0}}", a), fmt.Sprintf("{{index %s `a`}}", a), fmt.Sprintf("{{slice %s 0 1}}", a),
			fmt.Sprintf("{{index .L %s}}", a), fmt.Sprintf("{{index .M %s}}", a), fmt.Sprintf("{{slice .L %s}}", a), fmt.Sprintf("{{index %s}}", a), fmt.Sprintf("{{call %s}}", a),
			fmt.Sprintf("{{range %s}}<{{.}}>{{else}}none{{end}}", a), fmt.Sprintf("{{range $k, $v := %s}}{{$k}}={{$v}};{{else}}none{{end}}", a), fmt.Sprintf("{{json %s}}", a),
			fmt.Sprintf("{{%s}}", a), fmt.Sprintf("{{%s | print}}", a), fmt.Sprintf("{{(%s)}}", a), fmt.Sprintf("{{(%s).Name}}", a), fmt.Sprintf("{{$x := %s}}{{$x.Name}}", a), fmt.Sprintf("{{%s 1}}", a),
			fmt.Sprintf("{{print %s %s}}", a, a), fmt.Sprintf("{{println %s `|` %s}}", a, a), fmt.Sprintf("{{1 | %s}}", a))
	}
	return append(out, "{{index}}", "{{len}}", "{{len .L .L}}", "{{slice}}", "{{call}}", "{{index .L 0 0}}", "{{index .Mixed 4 1}}", "{{index .Mixed 5 `k`}}", "{{index .Deep `A` `B` `L` 2}}",
		"{{index .L -1}}", "{{index .L 3}}", "{{index .S 1}}", "{{index .S 99}}", "{{index .M `nope`}}", "{{index .Deep `X` `Y`}}", "{{index .M 1}}", "{{index .L `1`}}", "{{index .L 1.0}}", "{{index .L .One}}",
		"{{slice .L}}", "{{slice .L 1}}", "{{slice .L 1 2}}", "{{slice .L 1 2 3}}", "{{slice .L 2 1}}", "{{slice .L 0 9}}", "{{slice .L 1 1}}", "{{slice .L 1 2 1}}", "{{slice .L 0 1 2 3}}", "{{slice .S 0 2}}", "{{slice .S 1 2}}",
		"{{slice .S 0 1 2}}", "{{slice .S 3 99}}", "{{slice .S -1}}", "{{len (slice .L 1)}}", "{{index (slice .L 1) 0}}", "{{slice (slice .L 1) 1 2}}", "{{slice .L 0 nil}}", "{{slice .L `a`}}", "{{len .Html}}", "{{index .Messages 2 `ToolCalls` 0 `Function` `Name`}}",
		"{{.Item.Name}} {{.Item.Count}} {{.Item.On}} {{.Item.Tags}}", "{{.Item.Nope}}", "{{.Item.name}}", "{{index .Item.Tags 1}}", "{{.Item.Name.X}}", "{{.Item}}", "{{json .Item}}", "{{range .Item.Tags}}{{.}},{{end}}", "{{with .Item}}{{.Name}}{{end}}", "{{.L.x}}", "{{.S.x}}", "{{.One.x}}", "{{.T.x}}", "{{.N.x}}", "{{.Nope.x.y}}", "{{.Deep.A.B.C}}", "{{.Deep.A.X.C}}", "{{.Deep.Null.X}}", "{{.Deep.Null}}", "{{$.Deep.A.B.L}}")
}

var verbs = strings.Split("v d s q x X t b o O c U e E f F g G T w z", " ")
var values = []string{"42", "-7", "0", "128512", "3.5", "-0.25", "1e21", "1e-7", "100000.0", "0.0", "`héllo`", "\"a\\\"b`c\\n\\x01\\xff\"", "``", ".T", "nil", ".L", ".Mixed", ".M", ".Nope", "'x'"}
var flags = []string{"", "+", "-", " ", "#", "0", "8", "-8", "08", "+08", ".2", ".0", "8.3", "-8.3", "08.3", "# 8", "+.1", "-08", ".", "+-#12.4"}

func printfs() (out []string) {
	for _, verb := range verbs {
		for _, value := range values {
			var b strings.Builder
			b.WriteString("{{printf `")
			for i, flag := range flags {
				if i > 0 {
					b.WriteString("|")
				}
				b.WriteString("%[1]" + flag + verb)
			}
			out = append(out, strings.ReplaceAll(b.String(), "%[1]", "%")+"`"+strings.Repeat(" "+value, len(flags))+"}}")
		}
	}
	return append(out, "{{printf}}", "{{printf 1}}", "{{printf .N}}", "{{printf .Nope}}", "{{printf ``}}", "{{printf `x`}}", "{{printf `x` 1}}", "{{printf `%d`}}", "{{printf `%d %d` 1}}", "{{printf `%d` 1 `a` nil .L}}",
		"{{printf `%%`}}", "{{printf `%`}}", "{{printf `%d%`  1}}", "{{printf `%5%|%-5%|%05%`}}", "{{printf `%!`}}", "{{printf `%!` 1}}", "{{printf `%é` 1}}", "{{printf `% `}}", "{{printf `%-`}}", "{{printf `%.`}}", "{{printf `%.d` 3}}",
		"{{printf `%[2]d %[1]d` 1 2}}", "{{printf `%[2]d` 1 2}}", "{{printf `%[3]d` 1 2}}", "{{printf `%[0]d` 1}}", "{{printf `%[-1]d` 1}}", "{{printf `%[x]d` 1}}", "{{printf `%[1` 1}}", "{{printf `%[1]` 1}}", "{{printf `%[]d` 1}}", "{{printf `%[1]d %d %d` 1 2}}", "{{printf `%[2]*[1]d` 1 8}}", "{{printf `%[1]2d` 1}}", "{{printf `%2[1]d` 1}}", "{{printf `%.[2]*[1]f` 1.23456 2}}", "{{printf `%6.[1]*f` 2 1.5}}", "{{printf `%.[2]d` 1 2}}", "{{printf `%[99999999999999999999]d` 1}}",
		"{{printf `%*d` 8 1}}", "{{printf `%-*d|` 8 1}}", "{{printf `%*d|` -8 1}}", "{{printf `%*d` `x` 1}}", "{{printf `%*d` 1.5 1}}", "{{printf `%*d` 99999999 1}}", "{{printf `%*d`}}", "{{printf `%.*f` 2 1.2345}}", "{{printf `%.*f` -2 1.2345}}", "{{printf `%.*f` `x` 1.2345}}", "{{printf `%*.*f|` 9 2 1.2345}}", "{{printf `%0*d` 5 42}}", "{{printf `%0*d|` -5 42}}",
		"{{printf `%1000d` 1}}", "{{printf `%100000000d` 1}}", "{{printf `%.100000000d` 1}}", "{{printf `%s` (printf `%d` 3)}}", "{{`x` | printf `%s-%s` `y`}}", "{{printf `%v %v` .Item .Item.Tags}}", "{{printf `%+v` .Item}}", "{{printf `%s|%d|%q|%x` .Item .Item .Item .Item}}", "{{printf `%6.2f|%-8s|%08.3f|%+d` 3.14159 `ab` 3.14159 5}}", "{{printf `%t %v` .T .Off}}", "{{printf `%x %X % x %#x` .S .S .S .S}}", "{{printf `%5t|%-7t|%q` .T .Off .T}}", "{{printf `%5.1s|%.10s|%-5s|` `世界` `世界` `世`}}", "{{printf `%c%c%c` 65 19990 1114112}}", "{{printf `%U %#U %#.6U %20U` 65 19990 19990 65}}", "{{printf `%q %+q %#q` 19990 19990 19990}}", "{{printf `%q` 1114112}}",
		"{{printf `%#v %#v %#v %#v %#v` 1 1.5 .S .T nil}}", "{{printf `%#v` 1.0}} {{printf `%#v` 1e6}} {{printf `%#v` 1e21}}", "{{printf `%#v` .L}}", "{{printf `%#v` .M}}", "{{printf `%#v` .Mixed}}", "{{printf `%T %T %T %T %T %T` 1 1.5 .S .T .L .M}}", "{{printf `%T` nil}}", "{{printf `%T` .Nope}}", "{{printf `%d %s %v` .N .N .N}}", "{{printf `%v` .Deep}}", "{{printf `%08b|%o|%#o|%O|%#b` 5 64 64 64 5}}", "{{printf `%x|%X|%#x|%#X` -255 255 255 -255}}", "{{printf `%e|%E|%.3e|%10.2e` 12345.678 0.00012 1e100 5.0}}", "{{printf `%g|%G|%.3g|%#g|%#.3g` 1e6 1e-10 123456.0 1.0 1.0}}", "{{printf `%g %g %g %g` 1e20 1e21 123456789.0 0.0001}}", "{{printf `%v %v %v %v` 1e20 1e21 123456789.0 0.00001}}", "{{printf `%b|%x|%X|%.2x` 1.5 1.5 -1.5 3.14159}}",
		"{{print}}", "{{println}}", "{{print 1 2}}", "{{print 1 `a` 2}}", "{{print `a` `b`}}", "{{print 1 nil 2}}", "{{print .L .M}}", "{{println 1 `a` 2}}", "{{print .N}}", "{{print .Nope}}", "{{println .N nil}}", "{{print `a` 1 2 `b` 3 .T}}")
}

func escapes() (out []string) {
	texts := []string{".S", ".Html", "``", "`a b&c=d/e?f`", "\"\\x00\\x01\\x7f\\xff\\u2028\\u2029\\ufeff\"", "`'\"\\`", "`<script>alert(1)</script>`", "1", "1.5", ".T", "nil", ".N", ".Nope", ".L", ".M", "`~-_.!*'()`", "`😀 é \u00a0`", "`+ %41`"}
	for _, f := range []string{"html", "js", "urlquery", "json", "print", "printf `%q`", "printf `%+q`", "printf `%#q`"} {
		for _, t := range texts {
			out = append(out, fmt.Sprintf("{{%s %s}}", f, t))
		}
	}
	return append(out, "{{html}}", "{{js}}", "{{urlquery}}", "{{html 1 2 `a` .T}}", "{{js `a` `b` 1 2}}", "{{urlquery `a` 1 2 `b`}}", "{{.Html | html | js}}", "{{json}}", "{{json 1 2}}", "{{json .Big}} {{json .Huge}} {{json .Tiny}} {{json .F}} {{json .Neg}} {{json 1e20}} {{json 0.000001}} {{json 123456789.125}}", "{{json .Deep}}", "{{json .Messages}}", "{{json .Mixed}}", "{{json (index .Messages 2)}}", "{{.Messages | json}}")
}
