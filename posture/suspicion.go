package posture

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"tidewaiter/command"
	"tidewaiter/policy"
)

// suspicious says what is suspicious in an instruction of an image's history,
// or "". Instructions are read as the shell would run them.
func suspicious(instruction string, scope *policy.Scope) string {
	script, run := shellOf(instruction)
	if !run {
		if strings.HasPrefix(instruction, "ADD http") {
			return "" // fetched by the builder and kept as a file, which is looked at as one
		}
		if w := telltale(instruction, scope); w != "" {
			return w
		}
		return ""
	}
	line := command.Parse([]string{"/bin/sh", "-c", script}, "", "")
	switch {
	case line.DownloadPiped:
		return "a download is piped to an interpreter"
	case line.DecodePiped:
		return "something decoded is piped to an interpreter"
	case line.Drops != "" && line.Downloads:
		return "a downloaded file, " + line.Drops + ", is run"
	}
	for _, p := range line.Programs {
		if scope.Setting("", "miners").MatchesName(p) {
			return "a miner, " + p
		}
	}
	for _, e := range line.Endpoints {
		if strings.HasPrefix(e.Scheme, "stratum") {
			return "a mining pool, " + e.Host
		}
	}
	for _, w := range line.Writes {
		if what := foothold(w); what != "" {
			return what + " is written: " + w
		}
	}
	return telltale(script, scope)
}

// builderArgs are what classic builders put before a RUN that has build
// arguments: |2 A=1 B=2 /bin/sh -c …
var builderArgs = regexp.MustCompile(`^\|\d+ .*?(/bin/\S*sh -c )`)

// shellOf gives the script of an instruction that ran one: as BuildKit writes
// it (RUN /bin/sh -c …), and as classic builders do (/bin/sh -c …, with #(nop)
// for what ran nothing).
func shellOf(instruction string) (script string, run bool) {
	s := strings.TrimSpace(instruction)
	s = strings.TrimSuffix(s, "# buildkit")
	s, isRun := strings.CutPrefix(s, "RUN ")
	if m := builderArgs.FindStringSubmatchIndex(s); m != nil {
		s = s[m[2]:]
	}
	for _, shell := range []string{"/bin/sh -c ", "/bin/bash -c ", "/bin/ash -c ", "/bin/bash -o pipefail -c ", "/bin/sh -ec "} {
		if rest, ok := strings.CutPrefix(s, shell); ok {
			if strings.HasPrefix(strings.TrimSpace(rest), "#(nop)") {
				return "", false
			}
			return rest, true
		}
	}
	return s, isRun
}

// foothold says what a file is that lets somebody come back, or "".
func foothold(file string) string {
	file = path.Clean("/" + file)
	switch {
	case strings.HasPrefix(file, "/etc/cron"), strings.HasPrefix(file, "/var/spool/cron"):
		return "a cron job"
	case strings.HasSuffix(file, "/.ssh/authorized_keys"), strings.HasSuffix(file, "/.ssh/authorized_keys2"):
		return "an SSH key that may log in"
	case file == "/etc/ld.so.preload":
		return "a library that every program loads"
	case strings.HasPrefix(file, "/etc/sudoers"):
		return "a rule for sudo"
	}
	return ""
}

// telltale looks for words that need no grammar: a COPY or ADD to a place that
// lets somebody come back, and names of miners and pools.
func telltale(s string, scope *policy.Scope) string {
	for part := range strings.SplitSeq(strings.NewReplacer("&&", "\n", ";", "\n", "|", "\n").Replace(s), "\n") {
		words := strings.FieldsFunc(part, func(r rune) bool { return strings.ContainsRune(" \t\r\"',&()[]{}", r) })
		if len(words) == 0 || slices.Contains(harmless, words[0]) {
			continue
		}
		if why := telltaleWords(words, scope); why != "" {
			return why
		}
	}
	return ""
}

// harmless programs only look at files, or take them away.
var harmless = []string{"rm", "ls", "find", "grep", "test", "chmod", "chown", "rmdir", "unlink", "true"}

func telltaleWords(words []string, scope *policy.Scope) string {
	for _, w := range words {
		switch {
		case strings.HasPrefix(w, "stratum+"):
			return "a mining pool, " + w
		case strings.HasPrefix(w, "/") && foothold(w) != "":
			return foothold(w) + " is named: " + w
		case scope.Setting("", "miners").MatchesName(path.Base(w)):
			return "a miner, " + w
		case w == "crontab":
			return "a cron job is made"
		}
	}
	return ""
}

// setIDPrograms are set-id programs that Debian, Ubuntu, Alpine, Fedora and
// their kin install, by file name.
var setIDPrograms = []string{
	"su", "sudo", "sudoedit", "passwd", "chfn", "chsh", "chage", "expiry", "gpasswd", "newgrp", "sg", "mount", "umount", "bbsuid", "ping", "ping6",
	"fusermount", "fusermount3", "pkexec", "polkit-agent-helper-1", "dbus-daemon-launch-helper", "ssh-keysign", "ssh-agent", "unix_chkpwd",
	"pam_timestamp_check", "wall", "write", "bsd-write", "crontab", "at", "newuidmap", "newgidmap", "userhelper", "usernetctl", "utempter",
	"pam_extrausers_chkpwd", "staprun", "grub2-set-bootflag", "doas", "dotlockfile", "mlocate", "locate", "plocate", "postdrop", "postqueue", "exim4", "procmail",
}

// distributionSetID reports a set-id program that distributions install, at a
// place where they do. What such a file holds is another matter: hash lists tell.
func distributionSetID(file string) bool {
	dir, name := path.Split(path.Clean("/" + file))
	places := []string{"/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/"}
	return slices.Contains(setIDPrograms, name) &&
		(slices.Contains(places, dir) || strings.HasPrefix(dir, "/usr/lib/") || strings.HasPrefix(dir, "/usr/libexec/") || strings.HasPrefix(dir, "/lib/"))
}
