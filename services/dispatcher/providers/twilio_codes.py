"""What Twilio's error codes mean for a hand-over, and for a message it took, as data.

Source: Twilio's error dictionary (twilio.com/docs/api/errors), as gathered in November 2026. A code that is
not here and comes with a 4xx is final for this message. What is ours to mend (`SENDER`) waits instead:
else one wrong setting would use up every message in the queue.
"""

from types import MappingProxyType

from services.dispatcher.domain.faults import Fault

CODES = MappingProxyType(
    {
        21610: Fault.STOPPED,  # the recipient replied STOP
        21211: Fault.DEAD,  # not a number
        21604: Fault.DEAD,  # no number
        21614: Fault.DEAD,  # not a mobile
        21635: Fault.DEAD,  # a landline
        30005: Fault.DEAD,  # unknown or inactive number
        30003: Fault.SOFT,  # handset off, roaming, blocked or a landline: Twilio says to try again later
        30008: Fault.SOFT,  # the carrier gives no reason
        30017: Fault.SOFT,  # the carrier's network is congested
        30006: Fault.PERMANENT,  # landline or unreachable carrier
        30004: Fault.PERMANENT,  # blocked by carrier or recipient
        30036: Fault.PERMANENT,  # the validity that we set ran out
        21602: Fault.CONTENT,  # no body
        21617: Fault.CONTENT,  # body too long
        30007: Fault.CONTENT,  # filtered: the same content will be again
        20003: Fault.SENDER,  # credentials
        20404: Fault.SENDER,  # no such account
        21212: Fault.SENDER,  # the sender's number is none
        21603: Fault.SENDER,  # no sender given
        21606: Fault.SENDER,  # the sender's number cannot send SMS
        21609: Fault.SENDER,  # the call-back's URL is none
        21659: Fault.SENDER,  # the sender's number is not Twilio's
        21660: Fault.SENDER,  # the sender's number is another account's
        21408: Fault.SENDER,  # no permission for the region
        21612: Fault.SENDER,  # no route from this sender
        30002: Fault.SENDER,  # account suspended
        30024: Fault.SENDER,  # the sender's number is not provisioned at the carrier
        30032: Fault.SENDER,  # toll-free number not verified
        30034: Fault.SENDER,  # unregistered 10DLC sender
        20429: Fault.BUSY,  # too many requests: never processed, safe to retry
        21611: Fault.BUSY,  # this sender's queue is full
        30001: Fault.BUSY,  # queue overflow
        30022: Fault.BUSY,  # 10DLC rate exceeded
        30023: Fault.QUOTA,  # daily cap of the 10DLC brand
        30027: Fault.QUOTA,  # a carrier's daily cap
        63038: Fault.QUOTA,  # daily cap of the account
    }
)
