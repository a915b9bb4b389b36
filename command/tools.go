package command

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/expand"
)

func isAddr(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// downloader reads the arguments of what fetches URLs: where from, and which
// file it writes. It gives what it prints.
func (r *reader) downloader(name string, p program, args []text) text {
	opts, operands := p.options(args)
	names := false
	var sources []text
	for _, o := range append(operands, values(opts, "url")...) {
		isURL := strings.Contains(o.s, "://")
		if isURL && r.urls(o.s) || !isURL && !p.dash && r.operand(o.s, "http", 80) {
			names = true
			sources = append(sources, o)
		}
	}
	r.out.Downloads = r.out.Downloads || names
	files := values(opts, p.file)
	switch {
	case len(files) > 0:
	case p.dash: // the file is named behind the URL
		if i := slices.IndexFunc(operands, func(o text) bool { return strings.Contains(o.s, "://") }); i >= 0 {
			files = operands[i+1:]
		}
	case name == "curl" && !hasOption(opts, "O", "remote-name", "remote-name-all"):
		return text{"$", true, names, false}
	default:
		for _, s := range sources {
			files = append(files, text{urlFile(s.s, name == "curl"), s.partial, false, false})
		}
	}
	dir := values(opts, p.dir)
	if name == "wget" && len(values(opts, p.file)) > 0 {
		dir = nil // its -O does not heed its -P
	}
	printed := name == "lynx"
	for _, f := range files {
		printed = printed || isStdin(f.s) || f.s == "/dev/stdout"
		if len(dir) > 0 && f.s != "" && !path.IsAbs(f.s) {
			f = dir[0].plus(text{s: "/"}).plus(f)
		}
		r.write(f)
	}
	return text{"$", true, names && printed, false}
}

// urlFile is the file that a downloader makes of a URL: the last part of its
// path, to which wget adds the query and curl does not.
func urlFile(url string, isCurl bool) string {
	_, rest, found := strings.Cut(url, "://")
	if !found {
		rest = url
	}
	rest, _, _ = strings.Cut(rest, "#")
	rest, query, asks := strings.Cut(rest, "?")
	_, p, _ := strings.Cut(rest, "/")
	file := p[strings.LastIndexByte(p, '/')+1:]
	switch {
	case isCurl:
		return file
	case file == "":
		file = "index.html"
	}
	if asks {
		file += "?" + query
	}
	return file
}

// peer reads the arguments of what talks to one place, and of socat. What it
// prints came from there.
func (r *reader) peer(name string, p program, args []text) text {
	fetched := text{"$", true, true, false}
	opts, operands := p.options(args)
	if p.role == relay {
		for _, o := range operands {
			r.relay(o, fetched)
		}
		return fetched
	}
	for _, script := range values(opts, p.code) {
		r.run(script, fetched)
	}
	if name != "ssh" {
		for _, command := range values(opts, "e exec") {
			r.carry(texts(strings.Fields(command.s)), fetched)
		}
	}
	if len(operands) == 0 || strings.HasPrefix(name, "n") && hasOption(opts, "l", "listen") {
		return unknown
	}
	port := 0
	if name == "ssh" {
		for _, v := range values(opts, "p") {
			port, _ = strconv.Atoi(v.s)
		}
	} else if len(operands) > 1 {
		port, _ = strconv.Atoi(operands[1].s)
	}
	if port < 0 || port > 65535 {
		port = 0
	}
	r.operand(operands[0].s, "", port)
	return fetched
}

// carry reads a command that an argument carries.
func (r *reader) carry(args []text, in text) {
	if len(args) > 0 {
		r.starts(args[0])
		r.call(args, in)
	}
}

// relay reads one of socat's addresses, "KIND:rest,options".
func (r *reader) relay(o, fetched text) {
	address, _, _ := strings.Cut(o.s, ",")
	kind, rest, _ := strings.Cut(address, ":")
	kind = strings.ToUpper(kind)
	switch {
	case kind == "EXEC":
		r.carry(texts(strings.Fields(strings.Trim(rest, `'"`))), fetched)
	case kind == "SYSTEM" || kind == "SHELL":
		r.run(text{s: rest, partial: o.partial}, fetched)
	case strings.Contains(kind, "LISTEN") || strings.HasSuffix(kind, "-L") || strings.Contains(kind, "RECV"):
	default:
		for _, k := range []string{"TCP", "UDP", "SCTP", "OPENSSL", "SSL", "SOCKS", "PROXY"} {
			if strings.HasPrefix(kind, k) {
				r.operand(rest, "", 0)
				return
			}
		}
	}
}

// hosts reads operands of which some are hosts: those that are looked up, and
// host:path.
func (r *reader) hosts(name string, p program, args []text) {
	opts, operands := p.options(args)
	if name == "rsync" {
		for _, shell := range values(opts, "e rsh") {
			r.carry(texts(strings.Fields(shell.s)), text{})
		}
	}
	for _, o := range operands {
		s := strings.TrimPrefix(o.s, "@") // dig's server
		if p.role == resolver {
			if host := knownEnd(s); isDomain(host) || isAddr(host) {
				r.endpoint(Endpoint{Host: host})
			}
			continue
		}
		host, _, remote := strings.Cut(s, ":")
		user := strings.Contains(host, "@")
		if remote && !strings.Contains(s, "://") && !strings.Contains(host, "/") && len(host) > 1 && (user || name != "git") {
			r.operand(host, "ssh", 22)
		}
	}
}

// find reads the commands that find runs.
func (r *reader) find(args []text, in text) {
	for i := 0; i < len(args); i++ {
		if !slices.Contains([]string{"-exec", "-execdir", "-ok", "-okdir"}, args[i].s) {
			r.scan(args[i].s)
			continue
		}
		command := args[i+1:]
		if end := slices.IndexFunc(command, func(a text) bool { return a.s == ";" || a.s == "+" }); end >= 0 {
			command = command[:end]
		}
		r.carry(command, in)
		i += len(command) + 1
	}
}

// pass reads the arguments of cat, tee and dd, and gives what they print.
func (r *reader) pass(name string, p program, args []text, in text) text {
	_, operands := p.options(args)
	switch name {
	case "tee":
		for _, o := range operands {
			r.write(o)
		}
		return in
	case "dd":
		for _, o := range operands {
			if file, ok := strings.CutPrefix(o.s, "of="); ok {
				r.write(text{s: file, partial: o.partial})
			}
		}
		return from(in)
	}
	if len(operands) == 0 {
		return in
	}
	var out builder
	for _, o := range operands {
		if isStdin(o.s) {
			out.add(in)
		} else {
			out.add(from(o))
		}
	}
	return out.text()
}

// decode gives what a decoder makes of in.
func decode(name string, p program, args []text, in text) text {
	opts, operands := p.options(args)
	switch name {
	case "base64", "base32", "basenc", "gzip", "bzip2", "xz", "zstd":
		if !hasOption(opts, "d", "D", "decode", "decompress", "uncompress") {
			return from(in)
		}
	case "openssl":
		if !hasOption(opts, "d") {
			return text{"$", true, in.fetched || slices.ContainsFunc(args, func(a text) bool { return a.s == "s_client" }), in.decoded}
		}
	case "xxd":
		if !hasOption(opts, "r", "revert") {
			return from(in)
		}
	}
	out := from(in)
	out.decoded = true
	if in.partial || in.s == "" || len(operands) > 0 && name != "openssl" {
		return out
	}
	packed := strings.Join(strings.Fields(in.s), "")
	var plain []byte
	var err error
	switch name {
	case "base64", "openssl":
		plain, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(packed, "="))
	case "base32":
		plain, err = base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.TrimRight(packed, "="))
	case "xxd":
		plain, err = hex.DecodeString(packed)
	}
	if err == nil && plain != nil {
		return text{string(plain), false, in.fetched, true}
	}
	return out
}

// printed gives what echo, printf and which print.
func printed(name string, args []text) text {
	escapes := false
	for name == "echo" && len(args) > 0 && len(args[0].s) > 1 && strings.Trim(args[0].s, "-neE") == "" {
		escapes = escapes || strings.Contains(args[0].s, "e")
		args = args[1:]
	}
	if len(args) == 0 {
		return text{}
	}
	switch name {
	case "printf":
		return formatted(args[0], args[1:])
	case "which":
		return args[len(args)-1]
	}
	out := joined(args)
	if escapes {
		out.s = unescape(out.s)
	}
	return out.plus(text{s: "\n"})
}

// formatted is what printf prints, as far as %s, %b and escapes go.
func formatted(format text, args []text) text {
	var out builder
	for {
		before, after, found := strings.Cut(format.s, "%")
		out.add(text{unescape(before), format.partial, format.fetched, format.decoded})
		switch {
		case !found:
			return out.text()
		case strings.HasPrefix(after, "%"):
			out.add(text{s: "%"})
		case after != "" && (after[0] == 's' || after[0] == 'b'):
			if len(args) > 0 {
				a := args[0]
				if args = args[1:]; after[0] == 'b' {
					a.s = unescape(a.s)
				}
				out.add(a)
			}
		default:
			out.add(unknown)
		}
		format.s = after[min(1, len(after)):]
	}
}

// unescape resolves backslashes as in $'…' and echo -e.
func unescape(s string) string {
	plain, _, err := expand.Format(&expand.Config{}, s, nil)
	if err != nil {
		return s
	}
	return plain
}
