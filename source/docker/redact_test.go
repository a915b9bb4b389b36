package docker

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
)

func TestSecretsAreTakenOutOfTheLog(t *testing.T) {
	form := func(env ...string) string {
		text, err := json.Marshal(map[string]any{"Cmd": []string{"a"}, "Env": env, "Zone": "kept"})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	hostile := []string{"A=hush", `B="],hush`, `C=\`, `D=\"hush]`, "E=\nhush", "F=hush\t]\u2028", "G=]", `H=\\"hush`}
	for name, line := range map[string]string{
		"query":             `level=debug msg="Calling POST /v1.41/build?BuildArgs=%7B%22A%22%3A%22hush%22%7D&t=kept"`,
		"credentials":       `msg="Calling POST /images/create?fromImage=kept&x-registry-auth=hush"`,
		"URL":               `msg="Calling POST /build?remote=https%3A%2F%2Fme%3Ahush%40git.example%2Fkept&t=a"`,
		"plain URL":         `msg="Calling POST /build?remote=https://me:hush@git.example/kept"`,
		"variables":         `msg="Calling POST /images/create?changes=ENV+A%3Dhush&t=kept"`,
		"quoted body":       `level=debug msg=` + strconv.Quote("form data: "+form(hostile...)),
		"plain body":        "form data: " + form(hostile...),
		"cut":               `form data: {"Env":["A=hush`,
		"cut, then another": "kept {\"Env\":[\"A=hush\nkept",
	} {
		got := string(redactLog([]byte(line)))
		if strings.Contains(got, "hush") || !strings.Contains(got, "kept") && name != "cut" {
			t.Errorf("%s: %s", name, got)
		}
		if strings.Contains(line, "Zone") && !strings.Contains(got, "Zone") {
			t.Errorf("%s: too much is gone: %s", name, got)
		}
	}
	const plain = `msg="Calling GET /_ping"` + "\n"
	if got := string(redactLog([]byte(plain))); got != plain {
		t.Errorf("%q", got)
	}
}

func FuzzRedact(f *testing.F) {
	f.Add(`A="]`, true)
	f.Add("\\", false)
	f.Fuzz(func(t *testing.T, value string, quoted bool) {
		text, err := json.Marshal(map[string]any{"Env": []string{"K=" + value + "hush!", "L=" + value}, "Z": 1})
		if err != nil {
			t.Skip()
		}
		line := "form data: " + string(text)
		if quoted {
			line = strconv.Quote(line)
		}
		if got := string(redactLog([]byte(line))); strings.Contains(got, "hush!") || !strings.Contains(got, "Z") {
			t.Errorf("%s gives %s", line, got)
		}
	})
}
