package flow

import (
	"net/netip"
	"strconv"
	"strings"
)

// columnSet is one default set of columns: names and Zeek's types, as the
// header of that log prints them.
type columnSet struct{ names, types []string }

// The columns that Zeek writes when no script changed them. The connection log
// got ip_proto as its last column in Zeek 7; the 21 before are those of 3 to 6.
var (
	connColumns = columnSet{
		names: []string{"ts", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "proto",
			"service", "duration", "orig_bytes", "resp_bytes", "conn_state", "local_orig", "local_resp",
			"missed_bytes", "history", "orig_pkts", "orig_ip_bytes", "resp_pkts", "resp_ip_bytes",
			"tunnel_parents", "ip_proto"},
		types: []string{"time", "string", "addr", "port", "addr", "port", "enum",
			"string", "interval", "count", "count", "state", "bool", "bool",
			"count", "string", "count", "count", "count", "count",
			"set", "count"},
	}
	dnsColumns = columnSet{
		names: []string{"ts", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "proto",
			"trans_id", "rtt", "query", "qclass", "qclass_name", "qtype", "qtype_name", "rcode",
			"rcode_name", "AA", "TC", "RD", "RA", "Z", "answers", "TTLs", "rejected"},
		types: []string{"time", "string", "addr", "port", "addr", "port", "enum",
			"count", "interval", "string", "count", "string", "count", "string", "count",
			"string", "bool", "bool", "bool", "bool", "count", "vector", "vector", "bool"},
	}
	httpColumns = columnSet{
		names: []string{"ts", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "trans_depth",
			"method", "host", "uri", "referrer", "version", "user_agent", "origin", "request_body_len",
			"response_body_len", "status_code", "status_msg", "info_code", "info_msg", "tags", "username",
			"password", "proxied", "orig_fuids", "orig_filenames", "orig_mime_types", "resp_fuids",
			"resp_filenames", "resp_mime_types"},
		types: []string{"time", "string", "addr", "port", "addr", "port", "count",
			"string", "string", "string", "string", "string", "string", "string", "count",
			"count", "count", "string", "count", "string", "set", "string",
			"string", "set", "vector", "vector", "vector", "vector",
			"vector", "vector"},
	}
)

// connColumnsBefore7 is how many columns the connection log had before Zeek 7.
const connColumnsBefore7 = 21

// defaultLayout gives the layout of a line without header, if it fits one of
// the default column sets in number and in the type of every cell; else nil.
// The types are strict enough that no other log of Zeek's fits.
func defaultLayout(cells []string) *layout {
	set := columnSet{}
	switch len(cells) {
	case connColumnsBefore7, len(connColumns.names):
		set = connColumns
	case len(dnsColumns.names):
		set = dnsColumns
	case len(httpColumns.names):
		set = httpColumns
	default:
		return nil
	}
	l := newLayout()
	for i, c := range cells {
		if !l.fits(set.types[i], c) {
			return nil
		}
	}
	l.name(set.names[:len(cells)])
	return &l
}

// fits reports whether a cell can be of the type.
func (l *layout) fits(typ, cell string) bool {
	switch typ {
	case "time":
		t, err := parseTime(cell)
		return err == nil && !t.IsZero()
	case "addr":
		_, err := netip.ParseAddr(cell)
		return err == nil
	case "port":
		_, err := parsePort(cell)
		return err == nil
	case "enum":
		return cell == "tcp" || cell == "udp" || cell == "icmp" || cell == "unknown_transport"
	}
	if cell == l.unset {
		return true
	}
	switch typ {
	case "interval":
		_, err := strconv.ParseFloat(cell, 64)
		return err == nil
	case "count":
		_, err := strconv.ParseUint(cell, 10, 64)
		return err == nil
	case "bool":
		return cell == "T" || cell == "F"
	case "state":
		return isConnState(cell)
	}
	return true
}

// isConnState reports whether s is one of Zeek's connection states.
func isConnState(s string) bool {
	switch s {
	case "S0", "S1", "S2", "S3", "SF", "SH", "SHR", "REJ", "RSTO", "RSTR", "RSTOS0", "RSTRH", "OTH":
		return true
	}
	return false
}

// fragmentKind guesses for an input without header which log it is a part of,
// so that its user is told what is missing. It looks at the columns that all
// of Zeek's logs about connections begin with.
func fragmentKind(cells []string) kind {
	const shared = 7 // ts to proto
	if len(cells) <= shared {
		return other
	}
	l := newLayout()
	for i, c := range cells[:shared] {
		if !l.fits(connColumns.types[i], c) {
			return other
		}
	}
	if uid := cells[1]; !strings.HasPrefix(uid, "C") || len(uid) < 13 {
		return other
	}
	for _, c := range cells[shared:] {
		if isConnState(c) {
			return conn
		}
	}
	if isDigits(cells[shared]) { // the transaction id
		return dns
	}
	return other
}
