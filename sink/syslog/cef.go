package syslog

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"tidewaiter/finding"
	"tidewaiter/sink"
	"tidewaiter/sink/ocsf"
	"tidewaiter/visible"
)

// Lengths in bytes, by the dictionary of CEF's extension.
const (
	cefName    = 512
	cefMessage = 1023
	cefString  = 4000
	cefShort   = 255
)

// cef writes a finding in the Common Event Format, version 0 of ArcSight's
// "Implementing ArcSight Common Event Format". Fields that don't fit into max
// bytes are left out, from the end.
func cef(n sink.Notice, o finding.OCSF, most int) []byte {
	b := []byte("CEF:0|tidewaiter|tidewaiter|" + header(n.Version, cefShort) + "|" + header(cmp.Or(o.FindingInfo.Analytic.UID, "finding"), cefShort) + "|" +
		header(cmp.Or(o.FindingInfo.Analytic.Name, o.Message), cefName) + "|" + strconv.Itoa(cefSeverity(o.SeverityID)) + "|")
	for i, f := range fields(n, o) {
		value := extension(f.value, f.most)
		if value == "" {
			continue
		}
		pair := f.key + "=" + value
		if f.label != "" {
			pair = f.key + "Label=" + f.label + " " + pair
		}
		if i > 0 {
			pair = " " + pair
		}
		if len(b)+len(pair) > most {
			continue
		}
		b = append(b, pair...)
	}
	return b
}

// field is one of the extension's.
type field struct {
	key, label, value string
	most              int
}

func fields(n sink.Notice, o finding.OCSF) []field {
	e := ocsf.Entity(o)
	techniques, subs := ocsf.Techniques(o)
	out := []field{
		{"rt", "", strconv.FormatInt(n.At.UnixMilli(), 10), cefShort},
		{"externalId", "", o.FindingInfo.UID, 40},
		{"msg", "", o.Message, cefMessage},
		{"cat", "", o.Unmapped.Family, cefMessage},
		{"act", "", strings.ToLower(o.ActivityName), 63},
		{"outcome", "", string(o.Unmapped.State), 63},
		{"start", "", millis(o.StartTime), cefShort},
		{"end", "", millis(o.EndTime), cefShort},
		{"dvchost", "", n.Host, 100},
		{"dhost", "", e.Host, 1023},
		{"cs1", "container", cmp.Or(e.ContainerID, e.InstanceID), cefString},
		{"cs2", "image", cmp.Or(e.Image, e.ImageID), cefString},
		{"cs3", "digest", e.ImageDigest, cefString},
		{"cs4", "pod", strings.Trim(e.Namespace+"/"+e.Pod, "/"), cefString},
		{"cs5", "techniques", strings.Join(slices.Concat(techniques, subs), ","), cefString},
		{"cs6", "notice", n.ID, cefString},
		{"cn1", "score", strconv.Itoa(o.RiskScore), cefShort},
		{"cn2", "confidence", strconv.Itoa(o.ConfidenceScore), cefShort},
	}
	for _, ev := range slices.Backward(o.Evidences) {
		to := ev.DstEndpoint
		if to == nil {
			continue
		}
		addr, err := netip.ParseAddr(to.IP)
		if err != nil {
			continue
		}
		port := ""
		if to.Port > 0 {
			port = strconv.Itoa(to.Port)
		}
		if addr.Is4() {
			return append(out, field{"dst", "", addr.String(), cefShort}, field{"dpt", "", port, cefShort})
		}
		return append(out, field{"c6a3", "Destination IPv6 Address", addr.String(), cefShort}, field{"dpt", "", port, cefShort})
	}
	return out
}

func millis(at int64) string {
	if at == 0 {
		return ""
	}
	return strconv.FormatInt(at, 10)
}

// cefSeverity is from 0 to 10: to 3 low, to 6 medium, to 8 high, then very
// high.
func cefSeverity(id int) int {
	switch id {
	case 5:
		return 10
	case 4:
		return 8
	case 3:
		return 6
	case 2:
		return 3
	}
	return 1
}

// header escapes a field of the header: backslash and pipe. It has no lines.
func header(s string, most int) string {
	return strings.NewReplacer(`\`, `\\`, `|`, `\|`).Replace(clip(visible.Text(s), most))
}

// extension escapes a value: backslash and equals sign. What would end a line
// is visible text by then.
func extension(s string, most int) string {
	return strings.NewReplacer(`\`, `\\`, `=`, `\=`).Replace(clip(visible.Text(s), most))
}

// clip shortens s to most bytes, between characters.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	s = s[:most]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s
}
