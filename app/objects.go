package app

import (
	"errors"
	"fmt"
	"io"

	"tidewaiter/sensor"
	"tidewaiter/source"
)

// Opener opens whole objects for sensors: of a format, or of whichever their
// content tells if format is empty.
func Opener(format string) sensor.Opener {
	opt := source.RecordsOptions{Formats: Formats(), Name: format}
	return func(r io.Reader) (sensor.Object, error) {
		records, err := source.ReadRecords(r, opt)
		if err != nil {
			return nil, unfit(err)
		}
		return object{records}, nil
	}
}

// object says in a sensor's words what is wrong with records.
type object struct{ *source.Records }

// Next implements sensor.Object.
func (o object) Next() ([]byte, error) {
	rec, err := o.Records.Next()
	return rec, unfit(err)
}

func unfit(err error) error {
	switch {
	case errors.Is(err, source.ErrEmpty):
		return sensor.ErrEmpty
	case errors.Is(err, source.ErrUnrecognised), errors.Is(err, source.ErrTooMuch):
		return fmt.Errorf("%w: %w", sensor.ErrUnfit, err)
	}
	return err
}
