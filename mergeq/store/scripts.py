"""What Redis does in one step: Lua scripts, their keys and arguments in the order in which the store gives them."""

CLAIM = """
local dirty = redis.call('ZSCORE', KEYS[1], ARGV[1])
local held = redis.call('ZSCORE', KEYS[2], ARGV[1])
if held and tonumber(held) > tonumber(ARGV[2]) then return 0 end
if not dirty and not held then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
redis.call('HSET', KEYS[3], ARGV[1], ARGV[4])
return 1
"""
EXTEND = """
if redis.call('HGET', KEYS[2], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
return 1
"""
RELEASE = """
if redis.call('HGET', KEYS[2], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
return 1
"""
WRITE = """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
for _, command in ipairs(cjson.decode(ARGV[3])) do redis.call(unpack(command)) end
return 1
"""
ACT = """
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
for _, command in ipairs(cjson.decode(ARGV[3])) do redis.call(unpack(command)) end
return 1
"""
FOUND = """
if not redis.call('SET', KEYS[1], ARGV[1], 'NX') then return 0 end
for _, command in ipairs(cjson.decode(ARGV[2])) do redis.call(unpack(command)) end
return 1
"""
UNMARK = """
for i = 1, #ARGV, 2 do
  local known = redis.call('HGET', KEYS[1], ARGV[i])
  if known and cjson.decode(known).serial == tonumber(ARGV[i + 1]) then redis.call('HDEL', KEYS[1], ARGV[i]) end
end
"""
MARKING = """
local prefix, now = ARGV[1], ARGV[2]
local function mark(branch, field, node, hint)
  local known = redis.call('HGET', prefix .. branch, field)
  local marked = known and cjson.decode(known) or {}
  marked.node, marked.hints = marked.node or '', marked.hints or {}
  marked.serial = redis.call('INCR', KEYS[2])
  if node ~= '' then marked.node = node end
  if hint and hint ~= cjson.null and #marked.hints < 20 then table.insert(marked.hints, hint) end
  local text = cjson.encode(marked)
  if #marked.hints == 0 then text = text:gsub('"hints":{}', '"hints":[]') end
  redis.call('HSET', prefix .. branch, field, text)
  return redis.call('ZADD', KEYS[1], 'NX', now, branch) == 1
end
"""
MARK = (
    MARKING
    + """
local fresh = {}
for _, one in ipairs(cjson.decode(ARGV[3])) do
  if mark(one[1], one[2], one[3], one[4]) then table.insert(fresh, one[1]) end
end
return fresh
"""
)
KEEP = """
local touched = {}
local function line(sha, text, is_there)
  local key = KEYS[2]
  local known = {}
  for one in (redis.call('HGET', key, sha) or ''):gmatch('[^\\n]+') do
    if one ~= text then table.insert(known, one) end
  end
  if is_there then table.insert(known, text) end
  if #known > 0 then redis.call('HSET', key, sha, table.concat(known, '\\n')) else redis.call('HDEL', key, sha) end
end
for _, one in ipairs(cjson.decode(ARGV[1])) do
  local repo, number, branch, sha, at, pull, row = unpack(one)
  local name, rows = repo .. '#' .. number, KEYS[4] .. repo:match('^[^/]+')
  local old, old_sha = (redis.call('HGET', KEYS[1], name) or ''):match('^(%S+) (%S*)$')
  local read = old and redis.call('HGET', KEYS[3] .. old, number)
  if not (read and read:sub(1, 17) > at) and (old or branch ~= '') then
    if branch ~= '' and pull == '' and old then branch, sha = old, old_sha end
    if old and old ~= branch then
      redis.call('HDEL', KEYS[3] .. old, number)
      redis.call('HDEL', KEYS[6] .. old, number)
      table.insert(touched, old)
    end
    if old and (old ~= branch or old_sha ~= sha) then line(repo .. '@' .. old_sha, old .. ' ' .. number, false) end
    if branch == '' then
      redis.call('HDEL', KEYS[1], name)
      redis.call('HDEL', rows, name)
    else
      redis.call('HSET', KEYS[3] .. branch, number, at .. ' ' .. pull)
      redis.call('HSET', KEYS[1], name, branch .. ' ' .. sha)
      line(repo .. '@' .. sha, branch .. ' ' .. number, true)
      if row == '' then redis.call('HDEL', rows, name) else redis.call('HSET', rows, name, row) end
      table.insert(touched, branch)
    end
  end
end
for _, one in ipairs(cjson.decode(ARGV[2])) do
  local branch, at, state = unpack(one)
  local read = redis.call('HGET', KEYS[5], branch)
  if not (read and read:sub(1, 17) > at) then
    redis.call('HSET', KEYS[5], branch, at .. ' ' .. state)
    if not read or read:sub(19) ~= state then table.insert(touched, branch) end
  end
end
return touched
"""
PACE = """
local now, interval, burst, count = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local turn = redis.call('HGET', KEYS[2], ARGV[6])
if turn and ARGV[7] ~= '1' then
  if tonumber(turn) > now then return tostring(tonumber(turn) - now) end
  redis.call('HDEL', KEYS[2], ARGV[6])
  return '0'
end
local due = math.max(tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0'), now)
redis.call('HSET', KEYS[1], ARGV[1], tostring(due + count * interval))
local wait = due - burst * interval - now
if wait <= 0 or ARGV[7] == '1' then return '0' end
redis.call('HSET', KEYS[2], ARGV[6], tostring(now + wait))
return tostring(wait)
"""
DELIVER = (
    MARKING
    + """
local deliveries, heads, working, pools = KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local heard, counters, arrivals, swept, later = KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11]
local said = cjson.decode(ARGV[3])
if said.scope ~= '' then redis.call('HSET', heard, said.scope, now) end
redis.call('ZREMRANGEBYSCORE', deliveries, '-inf', now)
if redis.call('ZADD', deliveries, 'NX', ARGV[5], ARGV[4]) == 0 then
  redis.call('HINCRBYFLOAT', counters, said.duplicate, 1)
  return false
end
local fresh, found, noted = {}, 0, {}
local function note(branch, field, node, hint)
  local subject = branch .. ' ' .. field
  if noted[subject] then return end
  noted[subject], found = true, found + 1
  if mark(branch, field, node, hint) then table.insert(fresh, branch) end
end
local function is_known(branch)
  return redis.call('HEXISTS', pools, branch) == 1 or redis.call('ZSCORE', KEYS[1], branch)
    or redis.call('ZSCORE', working, branch) or redis.call('ZSCORE', later, branch)
end
for _, one in ipairs(said.fields) do
  if one[2] ~= 'tip' or is_known(one[1]) then note(one[1], one[2], one[3], one[4]) end
end
if said.head ~= '' then
  for line in (redis.call('HGET', heads, said.head) or ''):gmatch('[^\\n]+') do
    local branch, field = line:match('^(%S+) (%S+)$')
    note(branch, field, '', field ~= 'runs' and said.hint or nil)
  end
end
if said.arrival ~= cjson.null then
  local number, known = said.arrival[1], redis.call('HGET', arrivals, said.arrival[1])
  known = known and cjson.decode(known)
  if not known or (known.head_sha ~= said.arrival[2] and known.not_after <= said.arrival[3]) then
    redis.call('HSET', arrivals, number, ARGV[6])
  end
end
if said.sweep then
  found = found + 1
  redis.call('DEL', swept)
end
if said.protects ~= '' then
  found = found + 1
  redis.call('ZADD', KEYS[12], 'NX', now, said.protects)
  redis.call('RPUSH', KEYS[13], said.said)
  redis.call('LTRIM', KEYS[13], -10000, -1)
end
redis.call('HINCRBYFLOAT', counters, found > 0 and said.queued or said.otherwise, 1)
return {found, fresh}
"""
)
SWEEP = """
local before = redis.call('HGET', KEYS[1], ARGV[1])
if before and tonumber(ARGV[2]) - tonumber(before) < tonumber(ARGV[3]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
"""
OVERDUE = """
for _, branch in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', ARGV[1])) do
  redis.call('ZADD', KEYS[1], 'NX', ARGV[2], branch)
  redis.call('ZREM', KEYS[3], branch)
end
for _, one in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', ARGV[1])) do
  local branch, field = one:match('^(%S+) (%S+)$')
  if field ~= '-' then redis.call('HSETNX', ARGV[3] .. branch, field, '{"serial":0}') end
  redis.call('ZADD', KEYS[1], 'NX', ARGV[2], branch)
  redis.call('ZREM', KEYS[4], one)
end
for _, branch in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1])) do
  redis.call('ZADD', KEYS[1], 'NX', ARGV[2], branch)
end
local overdue = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[2])
for _, branch in ipairs(overdue) do redis.call('ZADD', KEYS[1], 'XX', ARGV[1], branch) end
return overdue
"""
SPEND = """
local now, ends = tonumber(ARGV[1]), tonumber(redis.call('HGET', KEYS[1], 'ends_at') or '0')
local told = cjson.decode(ARGV[5])
local known = redis.call('HGET', KEYS[1], 'limit')
if ends <= now or (told.ends_at and told.ends_at > ends + 60) then
  redis.call('DEL', KEYS[1])
  ends, known = told.ends_at or now + 3600, false
elseif told.ends_at and not known then
  ends = told.ends_at
end
redis.call('HSET', KEYS[1], 'ends_at', ends)
redis.call('HINCRBYFLOAT', KEYS[1], 'points:' .. ARGV[2], ARGV[3])
local left = tonumber(redis.call('HGET', KEYS[1], 'remaining') or '0')
if told.ends_at and told.ends_at > ends - 60 then
  if known and tonumber(known) == told.limit and left < told.remaining then told.remaining = left end
  redis.call('HSET', KEYS[1], 'limit', told.limit, 'remaining', told.remaining)
elseif known then
  redis.call('HSET', KEYS[1], 'remaining', math.max(left - tonumber(ARGV[3]), 0))
end
redis.call('EXPIRE', KEYS[1], 36000)
redis.call('SADD', KEYS[2], ARGV[4])
redis.call('HINCRBYFLOAT', KEYS[3], ARGV[6], ARGV[3])
redis.call('HINCRBYFLOAT', KEYS[3], ARGV[7], 1)
"""
HOLD = """
local before = redis.call('HGET', KEYS[1], ARGV[1])
if before and cjson.decode(before)['until'] >= tonumber(ARGV[2]) then return end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
"""
ACQUIRE = """
local held = redis.call('ZSCORE', KEYS[1], ARGV[1])
if held and tonumber(held) > tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[4])
return 1
"""
PROTECTION_TAKE = """
if redis.call('ZREM', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
redis.call('HSET', KEYS[3], ARGV[1], ARGV[3])
return 1
"""
PROTECTION_DUE = """
for index = 2, 3 do
  for _, scope in ipairs(redis.call('ZRANGEBYSCORE', KEYS[index], '-inf', ARGV[1])) do
    redis.call('ZADD', KEYS[1], 'NX', ARGV[2], scope)
    redis.call('ZREM', KEYS[index], scope)
  end
end
local overdue = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[2])
for _, scope in ipairs(overdue) do redis.call('ZADD', KEYS[1], 'XX', ARGV[1], scope) end
return overdue
"""
TURN = """
local now = tonumber(ARGV[2])
local due = math.max(tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0'), now)
redis.call('HSET', KEYS[1], ARGV[1], tostring(due + tonumber(ARGV[3])))
return tostring(due - now)
"""
