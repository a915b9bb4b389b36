package command

// The table below says how well-known programs read their arguments. It is
// about grammar, not about suspicion: what is suspicious stands in the
// detections.

// role is what a program's arguments mean.
type role int

const (
	_           role = iota
	wrapper          // runs the command that its operands are
	shell            // runs shell text
	interpreter      // runs program text, or the file named first
	powershell       // runs PowerShell text
	commandExe       // runs command lines of Windows
	downloader       // fetches what its operands name
	peer             // talks to the host, and the port, named first
	resolver         // asks for the names among its operands
	copier           // copies from and to host:path
	relay            // joins two addresses of its own kind (socat)
	decoder          // turns what it reads into what it stands for
	printer          // prints its operands
	passer           // prints what it reads
	finder           // runs commands on files (find)
)

// program says how a program reads its arguments.
type program struct {
	role role
	// letters and words are the short and the long options that take a value.
	letters, words string
	// skip is how many operands a wrapper has before the command.
	skip int
	// code are the options whose value is program text.
	code string
	// file are the options whose value is the file that a downloader writes, or
	// that an interpreter runs.
	file string
	// dir are the options whose value is the folder that it writes to.
	dir string
	// dash is set when long options begin with one dash, as with "-urlcache".
	dash bool
}

var (
	shellGrammar  = program{role: shell, letters: "oO", words: "rcfile init-file"}
	netcatGrammar = program{role: peer, letters: "ceghiIkmMOpPqsTVwWxX", words: "exec sh-exec lua-exec proxy proxy-type proxy-auth source source-port wait idle-timeout output hex-dump", code: "c sh-exec"}
	suGrammar     = program{role: wrapper, letters: "cCgGsuw", words: "command session-command group supp-group shell user whitelist-environment", code: "c command session-command"}
	pythonGrammar = program{role: interpreter, letters: "cmWXQ", code: "c m"}
	nodeGrammar   = program{role: interpreter, letters: "epr", words: "eval print require import input-type", code: "e p eval print"}
	axelGrammar   = program{role: downloader, letters: "sno", words: "max-speed num-connections output header user-agent", file: "o output"}
	base64Grammar = program{role: decoder, letters: "w", words: "wrap"}
	gzipGrammar   = program{role: decoder, letters: "SoTDM"}
)

// programs is the table, by name without version.
var programs = map[string]program{
	"sh": shellGrammar, "bash": shellGrammar, "dash": shellGrammar, "ash": shellGrammar,
	"zsh": shellGrammar, "ksh": shellGrammar, "mksh": shellGrammar, "rbash": shellGrammar,

	"busybox": {role: wrapper}, "toybox": {role: wrapper}, "nohup": {role: wrapper}, "setsid": {role: wrapper},
	"builtin": {role: wrapper}, "command": {role: wrapper}, "fakeroot": {role: wrapper}, "unbuffer": {role: wrapper},
	"exec": {role: wrapper, letters: "a"}, "doas": {role: wrapper, letters: "uC"}, "tini": {role: wrapper, letters: "pe"},
	"gosu": {role: wrapper, skip: 1}, "su-exec": {role: wrapper, skip: 1}, "s6-setuidgid": {role: wrapper, skip: 1}, "taskset": {role: wrapper, skip: 1},
	"su": suGrammar, "runuser": suGrammar,
	"chroot":    {role: wrapper, words: "userspec groups", skip: 1},
	"chrt":      {role: wrapper, letters: "TPD", words: "sched-runtime sched-period sched-deadline", skip: 1},
	"dumb-init": {role: wrapper, letters: "r", words: "rewrite"},
	"env":       {role: wrapper, letters: "uCS", words: "unset chdir split-string"},
	"flock":     {role: wrapper, letters: "wEc", words: "timeout wait conflict-exit-code command", code: "c command", skip: 1},
	"ionice":    {role: wrapper, letters: "cnpPu", words: "class classdata pid pgid uid"},
	"ld-linux":  {role: wrapper, words: "library-path preload audit argv0 inhibit-rpath glibc-hwcaps-prepend"},
	"ld-musl":   {role: wrapper, words: "library-path preload argv0"},
	"nice":      {role: wrapper, letters: "n", words: "adjustment"},
	"nsenter":   {role: wrapper, letters: "tSGW", words: "target setuid setgid"},
	"script":    {role: wrapper, letters: "cEIOBTmo", words: "command echo log-in log-out log-io log-timing logging-format output-limit", code: "c command", skip: 1},
	"setpriv":   {role: wrapper, words: "ruid euid rgid egid reuid regid groups inh-caps ambient-caps bounding-set securebits pdeathsig selinux-label apparmor-profile"},
	"stdbuf":    {role: wrapper, letters: "ioe", words: "input output error"},
	"strace":    {role: wrapper, letters: "abeEIoOpPsSuUX", words: "attach output trace user string-limit env"},
	"sudo":      {role: wrapper, letters: "ugpChrtTUDR", words: "user group prompt close-from host role type command-timeout other-user chdir chroot"},
	"time":      {role: wrapper, letters: "fo", words: "format output"},
	"timeout":   {role: wrapper, letters: "sk", words: "signal kill-after", skip: 1},
	"unshare":   {role: wrapper, letters: "SGRwl", words: "root wd setuid setgid map-user map-group map-users map-groups propagation setgroups monotonic boottime"},
	"watch":     {role: wrapper, letters: "nq", words: "interval equexit"},
	"xargs":     {role: wrapper, letters: "aIELnPsd", words: "arg-file delimiter max-args max-procs max-chars process-slot-var"},

	"python": pythonGrammar, "pypy": pythonGrammar, "node": nodeGrammar, "nodejs": nodeGrammar,
	"perl": {role: interpreter, letters: "eEIMmxFC", code: "e E"},
	"ruby": {role: interpreter, letters: "eIrCEFKTWx", code: "e"},
	"lua":  {role: interpreter, letters: "el", code: "e"},
	"php":  {role: interpreter, letters: "rdcfBREFStz", words: "run file ini define", code: "r B R E run", file: "f F file"},
	"java": {role: interpreter, words: "jar cp classpath class-path p module-path m module add-modules", file: "jar", dash: true},
	"eval": {role: interpreter}, "source": {role: interpreter}, ".": {role: interpreter},
	"powershell": {role: powershell}, "pwsh": {role: powershell}, "cmd": {role: commandExe},

	"curl": {role: downloader, letters: "AbcCdDeEFHKmoPQrtTuUwxXyYz", file: "o output", dir: "output-dir", words: "abstract-unix-socket alt-svc aws-sigv4 cacert capath cert cert-type " +
		"ciphers config connect-timeout connect-to continue-at cookie cookie-jar crlfile curves data data-ascii data-binary data-raw data-urlencode " +
		"dns-interface dns-servers doh-url dump-header engine etag-compare etag-save form form-string header hostpubmd5 interface json keepalive-time " +
		"key key-type limit-rate local-port login-options mail-from mail-rcpt max-filesize max-redirs max-time netrc-file noproxy output output-dir " +
		"parallel-max pass pinnedpubkey preproxy proto proto-default proxy proxy-header proxy-user pubkey quote range rate referer request " +
		"request-target resolve retry retry-delay retry-max-time service-name socks4 socks4a socks5 socks5-hostname speed-limit speed-time stderr " +
		"telnet-option time-cond tls-max tls13-ciphers trace trace-ascii unix-socket upload-file url url-query user user-agent variable write-out"},
	"wget": {role: downloader, letters: "oaeiBtOTwQPUlARDIX", file: "O output-document", dir: "P directory-prefix", words: "output-file append-output execute input-file base tries " +
		"output-document timeout dns-timeout connect-timeout read-timeout wait waitretry quota directory-prefix user-agent level accept reject domains " +
		"exclude-domains include-directories exclude-directories bind-address body-data body-file ca-certificate ca-directory certificate cut-dirs " +
		"default-page dns-servers header http-password http-user limit-rate load-cookies local-encoding max-redirect method password post-data post-file " +
		"prefer-family private-key progress proxy-password proxy-user referer remote-encoding restrict-file-names save-cookies secure-protocol start-pos " +
		"user warc-file"},
	"aria2c": {role: downloader, letters: "dilojskxTU", words: "dir input-file log max-concurrent-downloads out split max-connection-per-server header referer user-agent", file: "o out", dir: "d dir"},
	"fetch":  {role: downloader, letters: "BNSTcfhiow", words: "output timeout", file: "o output"},
	"axel":   axelGrammar, "lynx": {role: downloader, dash: true},
	"certutil": {role: downloader, dash: true}, "bitsadmin": {role: downloader, dash: true},

	"nc": netcatGrammar, "ncat": netcatGrammar, "netcat": netcatGrammar, "socat": {role: relay, dash: true},
	"telnet": {role: peer, letters: "lnexbSX"}, "ftp": {role: peer, letters: "oPrsT"}, "tftp": {role: peer, letters: "lrbcm"}, "ftpget": {role: peer, letters: "uPp"},
	"ssh":  {role: peer, letters: "BbcDEeFIiJLlmOopQRSWw"},
	"ping": {role: resolver, letters: "cIilmMpQsStTwWF"}, "traceroute": {role: resolver, letters: "fgimMNpqsTtwz"},
	"dig": {role: resolver, letters: "bcfkpqtxy"}, "host": {role: resolver, letters: "cmNpRtW"}, "nslookup": {role: resolver, dash: true},
	"scp": {role: copier, letters: "cDFiJloPSX"}, "sftp": {role: copier, letters: "BbcDFiJloPRSsX"}, "git": {role: copier, letters: "cC"},
	"rsync": {role: copier, letters: "eBfMT", words: "rsh rsync-path exclude include exclude-from include-from files-from port password-file log-file bwlimit"},

	"base64": base64Grammar, "base32": base64Grammar, "basenc": base64Grammar, "xxd": {role: decoder, letters: "cglos"}, "uudecode": {role: decoder, letters: "o"},
	"openssl": {role: decoder, dash: true}, "gzip": gzipGrammar, "gunzip": gzipGrammar, "zcat": gzipGrammar, "bzip2": gzipGrammar, "bunzip2": gzipGrammar,
	"bzcat": gzipGrammar, "xz": gzipGrammar, "unxz": gzipGrammar, "xzcat": gzipGrammar, "zstd": gzipGrammar, "unzstd": gzipGrammar, "zstdcat": gzipGrammar,

	"echo": {role: printer}, "printf": {role: printer}, "which": {role: printer}, "cat": {role: passer}, "tee": {role: passer}, "dd": {role: passer}, "find": {role: finder},
}
