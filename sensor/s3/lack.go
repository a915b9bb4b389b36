package s3

import (
	"errors"
	"fmt"
	"strings"

	"github.com/aws/smithy-go"

	"tidewaiter/sensor"
)

// code is what AWS calls an error, "" for one that is not AWS's.
func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// gone reports whether an object is not there.
func gone(err error) bool {
	c := code(err)
	return c == "NoSuchKey" || c == "NotFound" || c == "NoSuchVersion"
}

// denied reports whether something is not allowed to us.
func denied(err error) bool {
	switch c := code(err); c {
	case "AccessDenied", "AccessDeniedException", "Forbidden", "AllAccessDisabled", "KMS.AccessDeniedException", "KmsAccessDenied", "AccountProblem":
		return true
	default:
		return strings.HasSuffix(c, "AccessDenied")
	}
}

// lack tells what an error of AWS says is missing; an error that time may mend
// stays what it is.
func lack(doing string, err error) error {
	c := code(err)
	switch {
	case denied(err):
		return &sensor.Lack{What: doing + " is not allowed", Mend: "allow it as docs/formats/cloud.md shows", Err: err}
	case strings.HasSuffix(c, "NonExistentQueue") || strings.HasSuffix(c, "QueueDoesNotExist"):
		return &sensor.Lack{What: "the queue does not exist", Mend: "make it, or correct queue and region", Err: err}
	case c == "NoSuchBucket":
		return &sensor.Lack{What: "the bucket does not exist", Mend: "make it, or correct bucket and region", Err: err}
	case c == "PermanentRedirect" || c == "AuthorizationHeaderMalformed":
		return &sensor.Lack{What: "the bucket is in another region", Mend: "set region to the bucket's", Err: err}
	case c == "InvalidAccessKeyId" || c == "SignatureDoesNotMatch" || c == "InvalidClientTokenId" || c == "UnrecognizedClientException" || c == "ExpiredToken" || c == "InvalidToken" || c == "ExpiredTokenException":
		return &sensor.Lack{What: "AWS refuses the credentials", Mend: "renew them", Err: err}
	}
	return fmt.Errorf("%s: %w", doing, err)
}
