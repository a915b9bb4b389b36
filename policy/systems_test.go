package policy

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/oschwald/maxminddb-golang/v2"
)

// built is when the tests' databases were made.
const built = 1_793_620_800 // 2026-11-02

// database makes a database, as bytes: records by network. IPv4 alone has
// version 4.
func database(t testing.TB, kind string, version int, records map[string]mmdbtype.DataType) []byte {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: kind, BuildEpoch: built, IPVersion: version, RecordSize: 24, IncludeReservedNetworks: true})
	if err != nil {
		t.Fatal(err)
	}
	for network, record := range records {
		_, n, err := net.ParseCIDR(network)
		if err == nil {
			err = tree.Insert(n, record)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if _, err := tree.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// numbered is a record as MaxMind and DB-IP write it.
func numbered(n uint32, name string) mmdbtype.Map {
	return mmdbtype.Map{"autonomous_system_number": mmdbtype.Uint32(n), "autonomous_system_organization": mmdbtype.String(name)}
}

// example is a small whole database.
func example(t testing.TB) []byte {
	return database(t, "GeoLite2-ASN", 6, map[string]mmdbtype.DataType{
		"203.0.113.0/24": numbered(64500, "Example Net"), "198.51.100.0/25": numbered(64501, ""), "2001:db8::/32": numbered(64500, "Example Net"),
		"192.0.2.0/24": numbered(4_294_967_295, "Last"),
	})
}

// store writes a file and gives its path.
func store(t testing.TB, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "asn.mmdb")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func exampleDatabase(t testing.TB) string { return store(t, example(t)) }

// TestSystemEntries pins how an autonomous system is written.
func TestSystemEntries(t *testing.T) {
	for entry, want := range map[string]uint32{"AS64500": 64500, "as64500": 64500, "aS1": 1, "As4294967295": 4_294_967_295} {
		v := value(t, Destinations, entry)
		if !v.MatchesSystem(want) || v.MatchesSystem(want-1) || v.MatchesSystem(0) || v.MatchesDomain(entry) || v.MatchesAddr(netip.MustParseAddr("203.0.113.8")) {
			t.Errorf("%q is not AS%d alone", entry, want)
		}
	}
	for entry, says := range map[string]string{
		"AS0": "is no autonomous system", "as4294967296": "write AS and a number of 1 to 4294967295", "AS064500": "is no autonomous system",
		"AS99999999999999999999": "is no autonomous system", "AS 64500": "write AS and a number", "AS1.10": "write the number without a dot",
		"64500": "is no network", "AS": "", "asn64500": "",
	} {
		_, faults := NewValue(Destinations, []string{entry})
		switch {
		case says == "" && len(faults) > 0:
			t.Errorf("%q, a name, is refused: %v", entry, faults[0].Err)
		case says != "" && (len(faults) != 1 || !strings.Contains(faults[0].Err.Error(), says)):
			t.Errorf("%q gives %v, want %q", entry, faults, says)
		}
	}
}

// TestSystems reads every layout, and what a record may hold instead.
func TestSystems(t *testing.T) {
	text := func(s string) mmdbtype.String { return mmdbtype.String(s) }
	long := strings.Repeat("ü", maxSystemName)
	for name, c := range map[string]struct {
		record mmdbtype.DataType
		want   string
	}{
		"GeoLite2 and DB-IP":      {numbered(64500, "Example Net"), "AS64500 Example Net"},
		"no organization":         {mmdbtype.Map{"autonomous_system_number": mmdbtype.Uint32(64500)}, "AS64500"},
		"IPinfo Lite":             {mmdbtype.Map{"asn": text("AS64500"), "as_name": text("Example Net"), "name": text("x"), "country": text("Nowhere")}, "AS64500 Example Net"},
		"IPinfo ASN":              {mmdbtype.Map{"asn": text("as64500"), "name": text("Example Net")}, "AS64500 Example Net"},
		"a number":                {mmdbtype.Map{"asn": mmdbtype.Uint32(64500)}, "AS64500"},
		"a small one":             {mmdbtype.Map{"asn": mmdbtype.Uint16(7)}, "AS7"},
		"a wide one":              {mmdbtype.Map{"asn": mmdbtype.Uint64(64500)}, "AS64500"},
		"a signed one":            {mmdbtype.Map{"asn": mmdbtype.Int32(64500)}, "AS64500"},
		"digits":                  {mmdbtype.Map{"asn": text("64500")}, "AS64500"},
		"both, the first wrong":   {mmdbtype.Map{"autonomous_system_number": text(""), "asn": text("AS64500")}, "AS64500"},
		"a name of another type":  {mmdbtype.Map{"asn": text("AS64500"), "as_name": mmdbtype.Uint16(1), "name": text(" \t")}, "AS64500"},
		"a long name":             {numbered(64500, long), "AS64500 " + strings.Repeat("ü", maxSystemName/2)},
		"no number":               {mmdbtype.Map{"asn": text(""), "as_name": text("Example Net")}, ""},
		"nobody's":                {numbered(0, "Example Net"), ""},
		"below none":              {mmdbtype.Map{"asn": mmdbtype.Int32(-1)}, ""},
		"beyond the last":         {mmdbtype.Map{"asn": mmdbtype.Uint64(1 << 32)}, ""},
		"a word":                  {mmdbtype.Map{"asn": text("ASx")}, ""},
		"a broken number":         {mmdbtype.Map{"asn": mmdbtype.Float64(64500)}, ""},
		"a list for a number":     {mmdbtype.Map{"asn": mmdbtype.Slice{mmdbtype.Uint32(64500)}}, ""},
		"a text for a record":     {text("AS64500"), ""},
		"a record of other words": {mmdbtype.Map{"ASN": mmdbtype.Uint32(64500)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := openSystems(store(t, database(t, "x", 6, map[string]mmdbtype.DataType{"203.0.113.0/24": c.record, "192.0.2.0/24": numbered(1, "")})))
			if err != nil {
				t.Fatal(err)
			}
			if got := d.of(netip.MustParseAddr("203.0.113.8")).String(); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestSystemOfAnAddress pins that every form of an address is in the same
// system.
func TestSystemOfAnAddress(t *testing.T) {
	four := store(t, database(t, "ip4", 4, map[string]mmdbtype.DataType{"203.0.113.0/24": numbered(64500, "Example Net")}))
	for path, places := range map[string]string{
		exampleDatabase(t): "203.0.113.8=64500 ::ffff:203.0.113.8=64500 64:ff9b::203.0.113.8=64500 203.0.112.255=0 203.0.114.0=0 198.51.100.127=64501 198.51.100.128=0 " +
			"2001:db8::1=64500 2001:db8::1%eth0=64500 2001:db9::1=0 192.0.2.1=4294967295 127.0.0.1=0 ::=0 255.255.255.255=0 ::203.0.113.8=64500",
		four: "203.0.113.8=64500 ::ffff:203.0.113.8=64500 64:ff9b::203.0.113.8=64500 2001:db8::1=0 10.0.0.1=0",
	} {
		p := read(t, fmt.Sprintf("asn_database: %q\nsettings: {allowed: [as64500]}\n", path))
		for place := range strings.FieldsSeq(places) {
			addr, want, _ := strings.Cut(place, "=")
			s := p.System(netip.MustParseAddr(addr))
			if fmt.Sprint(s.Number) != want || p.For(Attributes{}).Setting("", "allowed").MatchesSystem(s.Number) != (want == "64500") {
				t.Errorf("%s is in %q, want AS%s", addr, s, want)
			}
		}
		if s := p.System(netip.Addr{}); s != (System{}) {
			t.Errorf("no address is in %s", s)
		}
	}
	if p := Empty(words()); p.System(netip.MustParseAddr("203.0.113.8")) != (System{}) || p.SystemsSource() != "" {
		t.Error("a policy without a database knows a system")
	}
}

// TestDatabaseFaults pins what is told of a database that cannot be used, and
// that an entry without one is told where it stands.
func TestDatabaseFaults(t *testing.T) {
	dir := t.TempDir()
	good := example(t)
	files := map[string][]byte{
		"good.mmdb": good, "empty.mmdb": {}, "text.mmdb": []byte("version: 1\n"), "cut.mmdb": good[:len(good)-40], "head.mmdb": good[:len(good)/2],
		"city.mmdb":   database(t, "GeoLite2-City", 6, map[string]mmdbtype.DataType{"203.0.113.0/24": mmdbtype.Map{"city": mmdbtype.Map{}}}),
		"bare.mmdb":   database(t, "GeoLite2-ASN\n:1:1:", 6, nil),
		"record.mmdb": bytes.Replace(good, []byte("\x58autonomous_system_number"), []byte("\xfaautonomous_system_number"), 1),
		"tree.mmdb":   damaged(good),
		"loop.mmdb":   loop(t), "doubling.mmdb": doubling(t),
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	large := filepath.Join(dir, "large.mmdb")
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, maxDatabase+1); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.mmdb"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ text, want string }{
		"good":               {"asn_database: good.mmdb\nsettings: {allowed: [AS64500]}\n", ""},
		"named and unused":   {"asn_database: good.mmdb\n", ""},
		"at the end":         {"settings: {allowed: [AS64500]}\nasn_database: ./good.mmdb\n", ""},
		"none":               {"settings: {allowed: [10.0.0.0/8, AS64500, as64501], tools: [AS64500]}\nscopes: {a: {match: {}, blocked+: AS7}}\n", "2:34: settings.allowed[1]: \"AS64500\" needs a database of autonomous systems; name one at the top of the file: asn_database: GeoLite2-ASN.mmdb\n2:43: settings.allowed[2]: \"as64501\" needs\n3:35: scopes.a.blocked+: \"AS7\" needs"},
		"missing":            {"settings: {allowed: [AS64500]}\nasn_database: no.mmdb\n", "3:15: asn_database: there is no \"DIR/no.mmdb\"; a path counts from the policy's folder"},
		"and other faults":   {"asn_database: no.mmdb\nsettings: {allowed: [AS0], ports: [x]}\n", "2:15: asn_database: there is no\n3:22: settings.allowed[0]: \"AS0\" is no autonomous system\n3:36: settings.ports[0]: \"x\" is no port"},
		"a folder":           {"asn_database: .\n", "2:15: asn_database: \"DIR\" is no file; name a database"},
		"a pipe":             {"asn_database: pipe.mmdb\n", "2:15: asn_database: \"DIR/pipe.mmdb\" is no file"},
		"a device":           {"asn_database: /dev/zero\n", "2:15: asn_database: \"/dev/zero\" is no file"},
		"below a file":       {"asn_database: good.mmdb/x\n", "2:15: asn_database: cannot read \"DIR/good.mmdb/x\": not a directory"},
		"unreadable":         {"asn_database: /proc/self/mem\n", "2:15: asn_database: cannot read \"/proc/self/mem\": input/output error"},
		"too large":          {"asn_database: large.mmdb\n", "2:15: asn_database: \"DIR/large.mmdb\" has 268435457 bytes, the limit is 268435456"},
		"empty":              {"asn_database: empty.mmdb\n", "2:15: asn_database: \"DIR/empty.mmdb\" is no whole MaxMind DB file ("},
		"a text":             {"asn_database: text.mmdb\n", "2:15: asn_database: \"DIR/text.mmdb\" is no whole MaxMind DB file ("},
		"cut at the end":     {"asn_database: cut.mmdb\n", "2:15: asn_database: \"DIR/cut.mmdb\" is no whole MaxMind DB file ("},
		"half":               {"asn_database: head.mmdb\n", "2:15: asn_database: \"DIR/head.mmdb\" is no whole MaxMind DB file ("},
		"a broken tree":      {"asn_database: tree.mmdb\n", "2:15: asn_database: \"DIR/tree.mmdb\" is damaged ("},
		"a broken record":    {"asn_database: record.mmdb\n", "2:15: asn_database: \"DIR/record.mmdb\" is damaged ("},
		"a loop":             {"asn_database: loop.mmdb\n", "2:15: asn_database: \"DIR/loop.mmdb\" is damaged (\"invalid search tree"},
		"a tree without end": {"asn_database: doubling.mmdb\n", "2:15: asn_database: \"DIR/doubling.mmdb\" (\"x\" of 2026-11-02) tells no autonomous systems"},
		"of cities":          {"asn_database: city.mmdb\n", "2:15: asn_database: \"DIR/city.mmdb\" (\"GeoLite2-City\" of 2026-11-02) tells no autonomous systems: no autonomous_system_number or asn in its first networks; name a database such as GeoLite2-ASN.mmdb"},
		"of nothing":         {"asn_database: bare.mmdb\n", "2:15: asn_database: \"DIR/bare.mmdb\" (\"GeoLite2-ASN\\n:1:1:\" of 2026-11-02) tells no autonomous systems"},
		"a list":             {"asn_database: [good.mmdb]\n", "2:15: asn_database: want the path of a MaxMind DB file, such as GeoLite2-ASN.mmdb"},
		"nothing":            {"asn_database:\nsettings: {allowed: [AS64500]}\n", "2:14: asn_database: want the path"},
		"an empty path":      {"asn_database: ''\n", "2:15: asn_database: want the path"},
		"a number":           {"asn_database: 64500\n", "2:15: asn_database: want the path"},
		"in a scope":         {"settings: {asn_database: good.mmdb}\n", "2:12: settings.asn_database: unknown key; it belongs at the top of the file"},
		"lines in a path":    {"asn_database: \"a\\nb\\e[2J\"\n", "2:15: asn_database: there is no \"DIR/a\\nb\\x1b[2J\""},
		"a nought in a path": {"asn_database: \"a\\0b\"\n", "2:15: asn_database: cannot read \"DIR/a\\x00b\": invalid argument"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Read(strings.NewReader("version: 1\n"+c.text), filepath.Join(dir, "f"), words())
			switch {
			case err == nil && c.want != "":
				t.Fatalf("no fault, want %s", c.want)
			case err == nil:
				if got := p.SystemsSource(); got != `"GeoLite2-ASN" of 2026-11-02` {
					t.Errorf("the database is %s", got)
				}
			case c.want == "":
				t.Fatal(err)
			default:
				got := strings.ReplaceAll(strings.ReplaceAll("\n"+err.Error(), "\n"+dir+"/f:", "\n")[1:], dir, "DIR")
				sameFaults(t, got, c.want)
			}
		})
	}
}

// damaged points the tree's first branches behind the data.
func damaged(data []byte) []byte {
	data = bytes.Clone(data)
	copy(data, "\xff\xff\xff\xff\xff\xff")
	return data
}

// handMade is a database of a tree of one's own, whose branches are numbers of
// nodes, or that of all nodes for none.
func handMade(t *testing.T, tree [][2]int) []byte {
	t.Helper()
	whole := database(t, "x", 6, nil)
	_, meta, ok := bytes.Cut(whole, []byte("\xab\xcd\xefMaxMind.com"))
	count := bytes.Index(meta, []byte("node_count"))
	if !ok || count < 0 {
		t.Fatal("no metadata")
	}
	// The writer tells one node as a number of one byte, behind the key.
	at := count + len("node_count")
	meta = append(append(bytes.Clone(meta[:at]), 0xc2, byte(len(tree)>>8), byte(len(tree))), afterNumber(t, meta[at:])...)
	var b bytes.Buffer
	for _, branches := range tree {
		for _, to := range branches {
			b.Write([]byte{byte(to >> 16), byte(to >> 8), byte(to)})
		}
	}
	b.Write(make([]byte, 16))
	b.WriteString("\xab\xcd\xefMaxMind.com")
	b.Write(meta)
	return b.Bytes()
}

// afterNumber skips an encoded unsigned number of 32 bits.
func afterNumber(t *testing.T, data []byte) []byte {
	t.Helper()
	if data[0]>>5 != 6 {
		t.Fatalf("no number but %x", data[0])
	}
	return data[1+data[0]&0x1f:]
}

// loop is a database whose one node leads to itself.
func loop(t *testing.T) []byte { return handMade(t, [][2]int{{0, 0}}) }

// doubling is a database of few nodes with 2 to the power of 127 networks,
// none of which holds anything.
func doubling(t *testing.T) []byte {
	tree := make([][2]int, 127)
	for i := range tree {
		tree[i] = [2]int{i + 1, i + 1}
	}
	return handMade(t, tree)
}

// openUntried opens a database without trying it out.
func openUntried(data []byte) (*systems, error) {
	db, err := maxminddb.OpenBytes(data)
	return &systems{db}, err
}

// TestARecordThatIsDamagedIsUnknown pins that what lies behind the part that
// was tried is unknown where it is damaged, and that nothing panics.
func TestARecordThatIsDamagedIsUnknown(t *testing.T) {
	good := example(t)
	at := bytes.Index(good, []byte("Example Net"))
	a, b := netip.MustParseAddr("203.0.113.8"), netip.MustParseAddr("198.51.100.1")
	d, err := openSystems(store(t, good))
	if err != nil {
		t.Fatal(err)
	}
	if d.of(a).Number != 64500 || d.of(b).Number != 64501 {
		t.Fatal("the whole database does not tell")
	}
	bad := bytes.Clone(good)
	bad[at-1] = 0x5f // the organization is longer than the file
	copy(bad[at:], "\xff\xff\xff")
	d, err = openUntried(bad)
	if err != nil {
		t.Fatal(err)
	}
	if s := d.of(a); s != (System{}) {
		t.Errorf("a damaged record tells %s", s)
	}
	if s := d.of(b); s.Number != 64501 {
		t.Errorf("a whole record beside it tells %q", s)
	}
}

// TestAPolicyIsOfTheDatabaseThatWasRead pins that a file that is replaced or
// cut while the program runs changes nothing, and that look-ups may run at
// once.
func TestAPolicyIsOfTheDatabaseThatWasRead(t *testing.T) {
	path := exampleDatabase(t)
	p := read(t, fmt.Sprintf("asn_database: %q\n", path))
	if err := os.Truncate(path, 10); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 100 {
				if s := p.System(netip.MustParseAddr("203.0.113.8")); s != (System{64500, "Example Net"}) {
					t.Errorf("got %s", s)
				}
			}
		})
	}
	all.Wait()
}

// FuzzDatabase: no database makes openSystems or a look-up panic, or run on;
// what is told of it is on one line.
func FuzzDatabase(f *testing.F) {
	f.Add(example(f), []byte{203, 0, 113, 8})
	f.Add(damaged(example(f)), []byte{198, 51, 100, 1})
	f.Add(database(f, "IPinfo", 4, map[string]mmdbtype.DataType{"203.0.113.0/24": mmdbtype.Map{"asn": mmdbtype.String("AS64500"), "name": mmdbtype.Slice{}}}), []byte{203, 0, 113, 8})
	path := filepath.Join(f.TempDir(), "asn.mmdb")
	f.Fuzz(func(t *testing.T, data, addr []byte) {
		path := path + fmt.Sprint(os.Getpid())
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := openSystems(path)
		if err != nil && strings.ContainsAny(err.Error(), "\n\r\x1b\x00") {
			t.Fatalf("%q", err)
		}
		d, err := openUntried(data)
		if err != nil {
			return
		}
		d.source()
		a, ok := netip.AddrFromSlice(addr)
		if !ok {
			a = netip.MustParseAddr("203.0.113.8")
		}
		if s := d.of(a); s.Number == 0 && s.Name != "" || len(s.Name) > maxSystemName || d.of(netip.AddrFrom16(a.As16())) != s && a.Is4() {
			t.Fatalf("%s is in %+v", a, s)
		}
	})
}

func BenchmarkSystem(b *testing.B) {
	d, err := openSystems(exampleDatabase(b))
	if err != nil {
		b.Fatal(err)
	}
	a := netip.MustParseAddr("203.0.113.8")
	for b.Loop() {
		d.of(a)
	}
}
