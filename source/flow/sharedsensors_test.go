package flow

import (
	"path/filepath"
	"testing"

	"tidewaiter/event"
	"tidewaiter/source/sourcetest"
)

// sensorFiles are the samples of the sensors that tell more than connections.
var sensorFiles = []struct{ format, pattern string }{
	{"hubble", "data/hubble/*/*/*.json"},
	{"hubble", "scenarios/*/hubble.log"},
	{"suricata-eve", "data/suricata_eve/crowdsecurity__hub/.tests/*/*.log"},
	{"suricata-eve", "scenarios/*/eve.json"},
	{"zeek-http-json", "scenarios/*/docker-http.log"},
	{"zeek-http-json", "data/zeek/ocsf__examples/raw_sample_log_dataset/Zeek/http.log"},
	{"zeek-http-json", "data/zeek/ocsf__examples/mappings/markdown/Zeek/*/http_log/samples/*.raw"},
}

// TestSharedSensors reads every sample and wants each record read.
func TestSharedSensors(t *testing.T) {
	shared := sourcetest.Shared(t)
	for _, s := range sensorFiles {
		files, err := filepath.Glob(filepath.Join(shared, s.pattern))
		if err != nil || len(files) == 0 {
			t.Errorf("no sample %s: %v", s.pattern, err)
		}
		for _, path := range files {
			name, _ := filepath.Rel(shared, path)
			in, events := readFile(t, path)
			if in == nil {
				t.Errorf("%s: not recognised", name)
				continue
			}
			kinds := map[event.Kind]int{}
			for _, e := range events {
				kinds[e.Body.Kind()]++
			}
			for _, tally := range in.Tallies() {
				if tally.Format.Name != s.format {
					t.Errorf("%s: read as %s", name, tally.Format.Name)
				}
				for _, f := range tally.Faults {
					if !isExplained(path, f.Err) {
						t.Errorf("%v", f)
					}
				}
				t.Logf("%-18s %4d records %4d events %4d skipped %4d unreadable %v %s", tally.Format.Name, tally.Records, tally.Events, tally.Skipped, tally.Unreadable, kinds, name)
			}
		}
	}
}

// TestSharedSensorChecks compares single records with what a person reads in
// them.
func TestSharedSensorChecks(t *testing.T) {
	shared := sourcetest.Shared(t)
	for path, want := range sensorChecks {
		_, events := readFile(t, filepath.Join(shared, path))
		var got []event.Event
		for _, e := range events {
			if len(got) < len(want) {
				got = append(got, e)
			}
		}
		t.Run(path, func(t *testing.T) { compare(t, got, want) })
	}
}

var sensorChecks = map[string][]string{
	"scenarios/A09/eve.json": {
		"2026-11-03T10:00:12.200263Z tcp 10.42.9.2:49772 > 198.51.100.70:443 state=closed service=tls end=2026-11-03T10:00:15.214351Z bytes=916/3239590 record=2026-11-03T10:00:16.414351Z",
		"2026-11-03T10:00:21.000021Z tcp 10.42.9.2:49863 > 198.51.100.71:14444 state=closed end=2026-11-03T10:10:11.044121Z bytes=32430/41890 record=2026-11-03T10:10:12.244121Z",
	},
	// Its second flow ends a day before it begins.
	"data/suricata_eve/crowdsecurity__hub/.tests/suricata-logs-evelog/suricata-logs-evelog.log": {
		"2022-07-11T05:48:21.714860Z tcp 1.2.3.6:56814 > 127.0.0.1:2352 state=closed end=2022-07-11T05:48:21.733121Z bytes=108/54 record=2022-07-11T05:52:18.378379Z",
		"2022-07-12T05:48:21.714860Z tcp 1.2.3.6:56814 > 127.0.0.1:2352 state=closed bytes=108/54 record=2022-07-12T05:52:18.378379Z",
	},
	"scenarios/A30/docker-http.log": {
		`2026-11-03T10:00:00.900820Z 203.0.113.80:47011 > 10.1.0.7:2375 POST 10.1.0.7 /v1.41/containers/create status=201 bytes=180/88 agent="Go-http-client/1.1"`,
	},
	// The makers of OCSF read the same of it.
	"data/zeek/ocsf__examples/mappings/markdown/Zeek/v1.3.0/http_log/samples/http_log.raw": {
		`2024-10-16T02:43:57.734946Z 172.70.175.90:26566 > 198.71.247.91:80 POST lifeisnetwork.com /wp-includes/css/wp-config.php status=404 bytes=28/279 agent="Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/90.0.4430.85 Safari/537.36" record=2024-10-16T02:43:57.736852Z`,
	},
	// One connection of which a packet is seen every six hours.
	"scenarios/A11/hubble.log": {
		"2026-11-03T10:00:08.000159025Z tcp 10.42.2.2:36713 > 198.51.100.88:443 state=NEW bytes=-1/-1 from=prod/metrics-0@node-b cluster=main",
		"2026-11-03T10:00:08.000159025Z tcp 10.42.2.2:36713 > 198.51.100.88:443 state=OPEN bytes=-1/-1 from=prod/metrics-0@node-b record=2026-11-04T04:00:08.029974461Z cluster=main",
	},
	"scenarios/A10/hubble.log": {
		"2026-11-03T10:01:04.000487089Z tcp 10.42.3.30:39942 > 203.0.113.50:443 state=NEW bytes=-1/-1 from=prod/logrotate-29895001-b6d98(CronJob prod/logrotate)@node-c cluster=main",
		"2026-11-03T10:01:04.000487089Z tcp 10.42.3.30:39942 > 203.0.113.50:443 state=CLOSED end=2026-11-03T10:01:05.024722576Z bytes=-1/-1 from=prod/logrotate-29895001-b6d98(CronJob prod/logrotate)@node-c record=2026-11-03T10:01:05.024722576Z cluster=main",
	},
	"scenarios/A05/hubble.log": {
		"2026-11-03T10:00:31.000649452Z tcp 10.42.8.4:37207 > 203.0.113.20:443 state=NEW bytes=-1/-1 from=prod/api-58c-d2qjt(Deployment prod/api)@node-b cluster=main",
	},
}
