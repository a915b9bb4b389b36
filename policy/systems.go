package policy

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
	"go.yaml.in/yaml/v3"
)

// System is an autonomous system: a part of the Internet in one hand. The zero
// System is an unknown one.
type System struct {
	// Number is from 1 to 4294967295 (RFC 6793), 0 for unknown.
	Number uint32
	// Name is who has it, as the database says, at most maxSystemName bytes;
	// "" if it does not say. It is another's text: escape it for people.
	Name string
}

// String is "AS64500 Example Net", "AS64500" without a name, "" if unknown.
func (s System) String() string {
	if s.Number == 0 {
		return ""
	}
	return strings.TrimSpace("AS" + strconv.FormatUint(uint64(s.Number), 10) + " " + s.Name)
}

// maxSystemName is how much of a name is kept, in bytes.
const maxSystemName = 100

var systemEntry = regexp.MustCompile(`(?i)^as *[0-9.]+$`)

// parseSystem reads "AS64500". ours reports that s means an autonomous system,
// rightly written or not.
func parseSystem(s string) (number uint32, ours bool, err error) {
	if !systemEntry.MatchString(s) || strings.HasSuffix(s, ".") { // "as64500." is a name
		return 0, false, nil
	}
	digits := s[2:]
	n, err := strconv.ParseUint(digits, 10, 32)
	switch {
	case strings.Contains(digits, "."):
		return 0, true, fmt.Errorf("%s: write the number without a dot; AS1.10 is AS65546", quote(s))
	case err != nil || n == 0 || digits[0] == '0':
		return 0, true, fmt.Errorf("%s is no autonomous system: write AS and a number of 1 to 4294967295", quote(s))
	}
	return uint32(n), true, nil
}

// Bounds on a database of autonomous systems. The largest in use has about 60
// MB; what is read of it when it is loaded is enough to tell what it is.
const (
	maxDatabase = 256 << 20 // bytes
	maxProbe    = 1 << 16   // networks that are tried
	maxRecords  = 1 << 12   // records of theirs, which many may share
)

// systems tells autonomous systems by address, from a file in the MaxMind DB
// format (https://maxmind.github.io/MaxMind-DB/). It lies in memory, so that
// nothing is left open and a file that is replaced changes nothing. A nil one
// knows nothing. Safe for concurrent use.
type systems struct{ db *maxminddb.Reader }

// systemRecord is what databases say of a network: MaxMind and DB-IP under the
// first two names, IPinfo and others under the others. Types differ, and what
// is wrong in one field should not lose the record.
type systemRecord struct {
	Number       any `maxminddb:"autonomous_system_number"`
	Organization any `maxminddb:"autonomous_system_organization"`
	ASN          any `maxminddb:"asn"`
	ASName       any `maxminddb:"as_name"`
	Name         any `maxminddb:"name"`
}

func (r systemRecord) system() System {
	s := System{Number: systemNumber(r.Number)}
	if s.Number == 0 {
		s.Number = systemNumber(r.ASN)
	}
	if s.Number == 0 {
		return s
	}
	for _, field := range []any{r.Organization, r.ASName, r.Name} {
		if name, ok := field.(string); ok && strings.TrimSpace(name) != "" {
			s.Name = strings.TrimSpace(strings.ToValidUTF8(name[:min(len(name), maxSystemName)], ""))
			break
		}
	}
	return s
}

// systemNumber reads 64500, "64500" or "AS64500"; 0 for what is none of them.
func systemNumber(field any) uint32 {
	text := ""
	switch n := field.(type) {
	case uint, uint16, uint32, uint64, int, int32:
		text = fmt.Sprint(n)
	case string:
		text = n
		if len(n) > 2 && strings.EqualFold(n[:2], "AS") {
			text = n[2:]
		}
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}

// of is the system that an address is in, the zero System if the database does
// not say, or if what it says cannot be read.
func (d *systems) of(a netip.Addr) System {
	if d == nil || !a.IsValid() {
		return System{}
	}
	var r systemRecord
	if err := d.db.Lookup(native(a).WithZone("")).Decode(&r); err != nil {
		return System{}
	}
	return r.system()
}

// source names the database: its type and when it was made.
func (d *systems) source() string {
	return quote(d.db.Metadata.DatabaseType) + " of " + d.db.Metadata.BuildTime().UTC().Format(time.DateOnly)
}

// openSystems reads a database and tries it out. Its errors say what to do and
// hold no text of the file's, but in quotes.
func openSystems(path string) (*systems, error) {
	data, err := readDatabase(path)
	if err != nil {
		return nil, err
	}
	db, err := maxminddb.OpenBytes(data)
	if err != nil {
		return nil, fmt.Errorf("%s is no whole MaxMind DB file (%s); get it anew, unpacked", quote(path), quote(err.Error()))
	}
	d := &systems{db}
	return d, d.probe(path)
}

// readDatabase reads a file whole. What is no file, such as a pipe that nobody
// writes to, is not opened.
func readDatabase(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no %s; a path counts from the policy's folder", quote(path))
	case err != nil:
		return nil, unreadable(path, err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no file; name a database such as GeoLite2-ASN.mmdb", quote(path))
	case info.Size() > maxDatabase:
		return nil, fmt.Errorf("%s has %d bytes, the limit is %d; name a database of autonomous systems alone", quote(path), info.Size(), maxDatabase)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxDatabase))
	if err != nil {
		return nil, unreadable(path, err)
	}
	return data, nil
}

// unreadable says why a file cannot be read, without its path as it stands.
func unreadable(path string, err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return fmt.Errorf("cannot read %s: %w", quote(path), err)
}

// probe reads the first networks: the file must hold together there, and tell
// a system. Every branch of the tree counts against the bound, so that one
// that loops back on itself ends there.
func (d *systems) probe(path string) error {
	tried, told, records := 0, false, map[uintptr]bool{}
	for found := range d.db.Networks(maxminddb.IncludeNetworksWithoutData(), maxminddb.IncludeAliasedNetworks()) {
		if tried++; tried > maxProbe {
			break
		}
		var r systemRecord
		err := found.Err()
		if err == nil && found.Found() && len(records) < maxRecords && !records[found.Offset()] {
			records[found.Offset()] = true
			err = found.Decode(&r)
		}
		var mistyped maxminddb.UnmarshalTypeError
		if err != nil && !errors.As(err, &mistyped) {
			return fmt.Errorf("%s is damaged (%s); get it anew", quote(path), quote(err.Error()))
		}
		told = told || r.system().Number != 0
	}
	if !told {
		return fmt.Errorf("%s (%s) tells no autonomous systems: no autonomous_system_number or asn in its first networks; name a database such as GeoLite2-ASN.mmdb",
			quote(path), d.source())
	}
	return nil
}

// database reads the key asn_database.
func (l *loader) database(n *yaml.Node) {
	l.databaseSaid = true
	if !isPlain(n) || n.Tag != "!!str" || n.Value == "" {
		l.fault(n, "asn_database", "want the path of a MaxMind DB file, such as GeoLite2-ASN.mmdb")
		return
	}
	path := n.Value
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(l.file), path)
	}
	d, err := openSystems(path)
	if err != nil {
		l.fault(n, "asn_database", "%w", err)
		return
	}
	l.policy.systems = d
}

// needDatabase reports the entries that nothing can fit for want of a database.
func (l *loader) needDatabase() {
	if l.databaseSaid {
		return
	}
	for _, e := range l.systems {
		l.fault(e.node, e.path, "%s needs a database of autonomous systems; name one at the top of the file: asn_database: GeoLite2-ASN.mmdb", quote(e.node.Value))
	}
}

// System is the autonomous system that an address is in, by the policy's
// database: the zero System without one, and for what it does not know. An
// IPv4 address in IPv6 clothes is in the IPv4 address's.
func (p *Policy) System(a netip.Addr) System { return p.systems.of(a) }

// SystemsSource names the database of autonomous systems, "" without one.
func (p *Policy) SystemsSource() string {
	if p.systems == nil {
		return ""
	}
	return p.systems.source()
}
