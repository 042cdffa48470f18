package main

import (
	"math/rand"
	"strings"
)

// Programs drawn from the grammar, mostly well-formed.
type maker struct {
	*rand.Rand
	vars []string
}

func (m *maker) pick(s ...string) string { return s[m.Intn(len(s))] }

func (m *maker) operand(depth int) string {
	switch m.Intn(10) {
	case 0, 1, 2:
		return m.pick(".", ".S", ".N", ".M", ".L", ".One", ".M.a", ".Item.Name", ".Nope", ".Nope.x", "$", "$.S", "$.Mixed", "$.L", "$.Messages", ".Role", ".x")
	case 3:
		if len(m.vars) > 0 {
			return m.pick(m.vars...) + m.pick("", "", ".a", ".Name")
		}
		return "$.T"
	case 4, 5:
		return m.pick("0", "1", "2", "-1", "1.5", "true", "false", "nil", "`s`", "\"q\\n\"", "'c'", "0x10")
	case 6, 7:
		if depth > 0 {
			return "(" + m.pipe(depth-1) + ")" + m.pick("", "", "", ".a")
		}
		return ".T"
	default:
		return m.pick(".S", ".L", ".M", ".T", "1", "`x`")
	}
}

func (m *maker) command(depth int) string {
	if m.Intn(3) > 0 {
		return m.operand(depth)
	}
	f := m.pick("len", "index", "slice", "print", "println", "printf `%v|%v`", "eq", "ne", "lt", "le", "and", "or", "not", "html", "js", "urlquery", "json")
	for n := m.Intn(3) + 1; n > 0; n-- {
		f += " " + m.operand(depth)
	}
	return f
}

func (m *maker) pipe(depth int) string {
	s := m.command(depth)
	for m.Intn(4) == 0 {
		s += m.pick(" | ", "|") + m.pick("len", "print", "printf `%v`", "not", "json", "index .L", "eq 1", "and 1", "or 0", "html")
	}
	return s
}

func (m *maker) open() string  { return m.pick("{{", "{{", "{{", "{{- ", "{{ ") }
func (m *maker) close() string { return m.pick("}}", "}}", "}}", " -}}", " }}") }

func (m *maker) act(s string) string { return m.open() + s + m.close() }

func (m *maker) nodes(depth int, inRange bool) string {
	var b strings.Builder
	scope := len(m.vars)
	for n := m.Intn(3) + 1; n > 0; n-- {
		switch k := m.Intn(12); {
		case k < 2:
			b.WriteString(m.pick("text", " \n ", "a b", "}", "é", "\t"))
		case k < 6 || depth == 0:
			b.WriteString(m.act(m.pipe(2)))
		case k == 6:
			v := m.pick("$a", "$b", "$c")
			b.WriteString(m.act(v + " := " + m.pipe(2)))
			m.vars = append(m.vars, v)
		case k == 7:
			b.WriteString(m.act(m.pick("$a", "$b", "$c") + " = " + m.pipe(2)))
		case k == 8 && inRange:
			b.WriteString(m.act("if "+m.pipe(1)) + m.act(m.pick("break", "continue")) + m.act("end"))
		case k < 10:
			b.WriteString(m.act(m.pick("if ", "with ")+m.pipe(2)) + m.nodes(depth-1, inRange) + m.tail(depth, inRange))
		default:
			inner := len(m.vars)
			head := m.pick("", "$a := ", "$a, $b := ")
			if head != "" {
				m.vars = append(m.vars, "$a")
			}
			b.WriteString(m.act("range " + head + m.pick(m.pipe(1), ".L", "$.Messages", "$.M", "3", "$.Mixed")))
			b.WriteString(m.nodes(depth-1, true))
			m.vars = m.vars[:inner]
			b.WriteString(m.tail(depth, inRange))
		}
	}
	m.vars = m.vars[:scope]
	return b.String()
}

func (m *maker) tail(depth int, inRange bool) string {
	s := ""
	if m.Intn(3) == 0 {
		s = m.act("else") + m.nodes(depth-1, inRange)
	}
	return s + m.act("end")
}

func randoms(count int) (out []string) {
	m := &maker{Rand: rand.New(rand.NewSource(4))}
	for i := 0; i < count; i++ {
		m.vars = nil
		out = append(out, m.nodes(3, false))
	}
	return out
}
