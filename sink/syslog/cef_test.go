package syslog

import (
	"strings"
	"testing"
	"unicode/utf8"

	"tidewaiter/sink"
	"tidewaiter/sink/ocsf"
	"tidewaiter/sink/sinktest"
)

// readCEF reads a message by the rules of the format, written from its text:
// pipes end the header's fields unless a backslash stands before them; in the
// extension a key is what stands before an unescaped equals sign.
func readCEF(t *testing.T, s string) (header []string, extension map[string]string) {
	t.Helper()
	field, escaped, rest := "", false, ""
	for i, r := range s {
		if escaped {
			if r != '|' && r != '\\' {
				t.Errorf("escape of %q in the header", r)
			}
			field, escaped = field+string(r), false
			continue
		}
		switch r {
		case '\\':
			escaped = true
			continue
		case '|':
			header, field = append(header, field), ""
			if len(header) == 7 {
				rest = s[i+1:]
			}
		default:
			field += string(r)
		}
		if rest != "" {
			break
		}
	}
	extension = map[string]string{}
	key, value := "", ""
	escaped = false
	for _, r := range rest {
		switch {
		case escaped:
			if r != '=' && r != '\\' && r != 'n' && r != 'r' {
				t.Errorf("escape of %q in the extension", r)
			}
			value, escaped = value+string(r), false
		case r == '\\':
			escaped = true
		case r == '=':
			cut := strings.LastIndexByte(value, ' ')
			if key != "" {
				extension[key] = value[:max(cut, 0)]
			}
			key, value = value[cut+1:], ""
		default:
			value += string(r)
		}
	}
	extension[key] = value
	return header, extension
}

func TestCEFIsReadAsItWasMeant(t *testing.T) {
	keys := "rt externalId msg cat act outcome start end dvchost dhost cs1 cs1Label cs2 cs2Label cs3 cs3Label cs4 cs4Label cs5 cs5Label cs6 cs6Label cn1 cn1Label cn2 cn2Label dst dpt c6a3 c6a3Label "
	for name, n := range map[string]sink.Notice{"true": sinktest.Notice(t), "hostile": sinktest.HostileNotice(t)} {
		n.Version = `1|2\3`
		o, err := ocsf.Parse(n)
		if err != nil {
			t.Fatal(err)
		}
		for _, most := range []int{1 << 16, 2000} {
			text := string(cef(n, o, most))
			if len(text) > most || !utf8.ValidString(text) || strings.ContainsAny(text, "\r\n\x00\x1b\u202e") {
				t.Errorf("%s: %d bytes, %q", name, len(text), text)
			}
			header, extension := readCEF(t, text)
			if len(header) != 7 || header[0] != "CEF:0" || header[3] != `1|2\3` || header[4] != "AN0691" || header[5] != "Malicious image run as a container" || header[6] != "10" {
				t.Errorf("%s: header %q", name, header)
			}
			for key := range extension {
				if !strings.Contains(keys, key+" ") {
					t.Errorf("%s: a log chose the key %q", name, key)
				}
			}
			if extension["externalId"] != n.Told.Finding.ID || extension["rt"] != "1793960600250" {
				t.Errorf("%s: %v", name, extension)
			}
			if name == "true" && (extension["dst"] != "198.51.100.77" || extension["dpt"] != "4444" || extension["cs5"] != "T1204,T1496,T1204.003,T1496.001") {
				t.Errorf("%v", extension)
			}
		}
	}
}
