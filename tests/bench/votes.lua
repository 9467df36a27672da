-- What wrk sends: votes, each with a reader's own token, in keep-alive connections.
-- Arguments: a file with a token a line, the number of wrk's threads. A line may begin with the path of another poll, and a space;
-- or it is the whole body.

local threads = {}

function setup(thread)
  thread:set("number", #threads)
  table.insert(threads, thread)
end

local tokens, place = {}, 0
local headers = { ["Content-Type"] = "application/json" }

function init(args)
  local index = 0
  for line in io.lines(args[1]) do
    if index % tonumber(args[2]) == number then
      tokens[#tokens + 1] = line
    end
    index = index + 1
  end
  counts = {}
  is_used_up = false
end

function request()
  place = place + 1
  if place > #tokens then
    -- From here on readers vote again; the caller is told, because that is another measurement.
    is_used_up = true
    place = 1
  end
  if tokens[place]:sub(1, 1) == "{" then
    return wrk.format("POST", nil, headers, tokens[place])
  end
  local path, token = tokens[place]:match("^(%S+) (%S+)$")
  local body = '{"choices":[1],"voter_token":"' .. (token or tokens[place]) .. '"}'
  return wrk.format("POST", path, headers, body)
end

function response(status)
  counts[status] = (counts[status] or 0) + 1
end

function done(summary, latency, requests)
  local statuses, used_up = {}, false
  for _, thread in ipairs(threads) do
    for status, count in pairs(thread:get("counts")) do
      statuses[status] = (statuses[status] or 0) + count
    end
    used_up = used_up or thread:get("is_used_up")
  end
  local listed = {}
  for status, count in pairs(statuses) do
    table.insert(listed, string.format('"%d": %d', status, count))
  end
  local failed = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  io.write(string.format(
    '\n{"statuses": {%s}, "failed": %d, "seconds": %.3f, "p50": %.3f, "p99": %.3f, "used_up": %s}\n',
    table.concat(listed, ", "), failed, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, tostring(used_up)
  ))
end
