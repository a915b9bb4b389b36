package command

import (
	"encoding/base64"
	"regexp"
	"slices"
	"strings"
	"unicode/utf16"
)

var (
	psEvaluates = regexp.MustCompile(`\biex\b|\binvoke-expression\b`)
	psFetches   = regexp.MustCompile(`\.download(string|data|file)|\binvoke-(webrequest|restmethod)\b|\biwr\b|\birm\b|\bcurl\b|\bwget\b|\bstart-bitstransfer\b|\bgetstringasync\b`)
	psDecodes   = regexp.MustCompile(`frombase64string|deflatestream|gzipstream`)
	psWrites    = regexp.MustCompile(`(?i)\.downloadfile\s*\([^,]+,\s*['"]([^'"]+)['"]|-(?:outfile|destination)\s+['"]?([^\s'";|)]+)`)
)

// psFlags are PowerShell's own parameters, which may be cut short: the first
// that fits is meant. Those with a value have a "=" behind them.
var psFlags = strings.Fields("command encodedcommand= ec= executionpolicy= ep= file= windowstyle= workingdirectory= wd= version= inputformat= outputformat= " +
	"configurationname= configurationfile= psconsolefile= settingsfile= custompipename= noprofile noninteractive nologo noexit sta mta login interactive")

// powershell reads the arguments of PowerShell: its parameters, and then text,
// of which names and places are read, not the grammar.
func (r *reader) powershell(args []text, in text) text {
	script := text{}
	stdin := len(args) == 0
	for i := 0; i < len(args); i++ {
		a := args[i]
		name := strings.ToLower(strings.TrimLeft(a.s, "-/"))
		flag := slices.IndexFunc(psFlags, func(f string) bool { return strings.HasPrefix(f, name) })
		if a.s == "-" || name == a.s || name == "" || flag < 0 {
			script, stdin = joined(args[i:]), a.s == "-"
			break
		}
		full, takes := strings.CutSuffix(psFlags[flag], "=")
		if full == "command" {
			script = joined(args[i+1:])
			stdin = script.s == "-"
			break
		}
		if !takes || i+1 == len(args) {
			continue
		}
		switch i++; full {
		case "encodedcommand", "ec":
			script = decodeUTF16(args[i])
		case "file":
			r.runs(args[i])
			script = joined(args[i+1:])
			i = len(args)
		}
	}
	if stdin {
		r.piped(in)
	}
	return r.psText(script, in)
}

// psText reads PowerShell text.
func (r *reader) psText(t, in text) text {
	r.piped(t)
	r.scan(t.s)
	r.code("powershell", t.s)
	low := strings.ToLower(strings.ReplaceAll(t.s, "`", "")) // "i`ex" is iex
	fetches := psFetches.MatchString(low)
	if psEvaluates.MatchString(low) {
		r.piped(text{fetched: fetches, decoded: psDecodes.MatchString(low)})
		r.piped(in)
	}
	r.out.Downloads = r.out.Downloads || fetches && r.urls(t.s)
	for _, m := range psWrites.FindAllStringSubmatch(t.s, maxItems) {
		r.write(text{s: m[1] + m[2]})
	}
	return text{"$", true, fetches, false}
}

// decodeUTF16 reads the argument of -EncodedCommand: base64 of UTF-16.
func decodeUTF16(t text) text {
	b, err := base64.StdEncoding.DecodeString(t.s)
	if err != nil || len(b)%2 != 0 {
		return t
	}
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = uint16(b[2*i]) | uint16(b[2*i+1])<<8
	}
	t.s = string(utf16.Decode(units))
	return t
}

// commandExe reads the arguments of cmd.exe: "/c" and a command line.
func (r *reader) commandExe(args []text, in text) text {
	for i, a := range args {
		if flag := strings.ToLower(a.s); strings.HasPrefix(flag, "/c") || strings.HasPrefix(flag, "/k") {
			line := joined(args[i+1:])
			line.s = strings.TrimSpace(a.s[2:] + " " + line.s)
			r.depth++
			defer func() { r.depth-- }()
			return r.roughly(line.s, in)
		}
	}
	for _, a := range args {
		r.scan(a.s)
	}
	return unknown
}
